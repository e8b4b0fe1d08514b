//go:build !linux

package fdpass

// Refuse does nothing.
func Refuse(int) {}
