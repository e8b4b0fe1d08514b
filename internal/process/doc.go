// Package process is what a daemon has to do with its host: the PID file, the
// lock and the state file beside it, detaching from the terminal, log files,
// privileges and limits.
//
// Three files belong to a running daemon whose PID file is app.pid:
//
//	app.pid        the PID of the serving generation, for people and old tools
//	app.pid.lock   locked (flock) as long as any generation serves
//	app.pid.state  JSON: what the serving generation is; see [State]
//
// Only the lock decides whether the daemon runs.
package process
