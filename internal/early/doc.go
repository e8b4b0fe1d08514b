// Package early has signals handled as early as a Go program can, in a generation that is to replace
// another. Packages are initialised as soon as what they import has been, and those whose path comes first go first: so this one
// imports next to nothing, and is the first of all that import package os/signal.
package early
