//go:build !unix

package process

// Watcher returns "": this process cannot be upgraded anyway.
func Watcher() string { return "" }
