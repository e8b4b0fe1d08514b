//go:build !gozd_fault

package fault

// At does nothing.
func At(string) {}

// Disk returns nil.
func Disk() error { return nil }
