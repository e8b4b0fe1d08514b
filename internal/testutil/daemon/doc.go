// Package daemon runs real daemons under test: it builds programs of this
// module, installs them by rename as an operator would, starts them detached,
// upgrades them, and knows every process that has served, so that all of them
// are ended by their own PID.
//
// It does not import testing, so that the demo can use it too.
package daemon
