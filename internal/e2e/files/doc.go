// Package files tests what daemons leave in the file system and to other processes:
// PID file, state file, descriptors, memory. It has no code but tests.
package files
