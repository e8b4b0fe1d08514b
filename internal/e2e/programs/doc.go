// Package programs tests what a program does of its own at an upgrade: hooks, states
// that it hands over, a file that only one process may open, variables that it reads.
// It has no code but tests.
package programs
