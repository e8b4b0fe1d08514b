// Package operating tests what an operator does to a daemon and is told by it: flags,
// signals, gozdctl and the control socket, releases, limits. It has no code but tests.
package operating
