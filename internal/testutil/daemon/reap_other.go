//go:build !linux

package daemon

// AdoptOrphans does nothing: PID 1 collects orphans.
func AdoptOrphans() {}

// ReapProcess does nothing.
func ReapProcess(int) {}
