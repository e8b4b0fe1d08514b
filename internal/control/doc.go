// Package control acts on a running daemon from outside by signals, and learns the
// outcome from the state file. A program's own -s flag uses it, and gozdctl for a daemon
// that has no control socket; on that, package client says more.
//
// Every function takes the path of a PID file. Their errors wrap
// process.ErrNotRunning where no daemon runs, and no process but the daemon is ever
// signalled: the lock and the process's start time are checked first.
package control
