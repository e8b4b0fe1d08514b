// Package control acts on a running daemon from outside: it asks, waits, and
// says what happened. Both gozdctl and a program's own -s flag use it.
//
// It speaks to the daemon by signals and learns the outcome from the state file.
// Every function takes the path of a PID file. Their errors wrap
// process.ErrNotRunning where no daemon runs, and no process but the daemon is ever
// signalled: the lock and the process's start time are checked first.
package control
