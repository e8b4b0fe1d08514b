//go:build !unix

package process

// MayWrite returns nil: nothing is known here.
func MayWrite(string, *Identity) error { return nil }

// MayBecome returns nil: there is no such identity here.
func (*Identity) MayBecome() error { return nil }

// MaySetMaxFiles is SetMaxFiles, which does nothing here but fail.
func MaySetMaxFiles(n uint64) error { return SetMaxFiles(n) }
