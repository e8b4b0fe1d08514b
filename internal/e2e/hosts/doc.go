// Package hosts has tests of what a host expects of a service: privileges that are given up, logs
// that are rotated, and programs that watch it. It has no code but tests.
package hosts
