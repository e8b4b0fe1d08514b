//go:build unix && !linux

package process

// dropAllInheritable does nothing: there are no capabilities.
func dropAllInheritable() error { return nil }

func hasNone() error { return nil }

// signalRoom does nothing: these systems change all threads at once.
func signalRoom() (restore func(), err error) { return func() {}, nil }

func (*Identity) checkThreads() error { return nil }
