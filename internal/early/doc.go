// Package early has the supervisor handle signals as early as a Go program can. Packages are
// initialised as soon as what they import has been, and those whose path comes first go first: so this one imports
// next to nothing, and is the first of all that import package os/signal, a millisecond before internal/supervise.
package early
