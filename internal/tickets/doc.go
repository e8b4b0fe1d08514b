// Package tickets keeps the secrets behind TLS session tickets, so that a client
// that comes back after an upgrade resumes its session with the new process. They
// go from generation to generation in memory and are never written to a disk.
package tickets
