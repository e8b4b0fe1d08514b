// Package config reads the configuration of a daemon, in the form that package cfg
// describes: which groups it has, where each of them listens, and how the daemon
// itself behaves.
package config
