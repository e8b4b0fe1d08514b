//go:build !gozd_fault

package fault

// Enabled says that the program was built with the tag.
const Enabled = false

// At does nothing.
func At(string) {}

// Disk returns nil.
func Disk() error { return nil }
