// Package control ends a running daemon, or makes it reopen its log, by signals. A program's own -s flag uses it where no control socket
// answers, and to quit, and both it and gozdctl wait by it for the end of a daemon. Whoever wants to know what became of an upgrade, or whether the generation
// that he asks serves at all, asks the control socket, by package client.
//
// Every function takes the path of a PID file. Their errors wrap
// process.ErrNotRunning where no daemon runs, and no process but the daemon is ever
// signalled: the lock and the process's start time are checked first.
package control
