// Package watched tests daemons whose first process somebody watches: as PID 1 of a
// container, with "supervise yes", on a terminal. It has no code of its own.
package watched
