//go:build unix && !linux

package process

// dropAllInheritable does nothing: there are no capabilities.
func dropAllInheritable() error { return nil }

func hasNone() error { return nil }
