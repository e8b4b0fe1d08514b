//go:build unix

package main

import "syscall"

// reapAll waits for any child of this process, as an init does.
func reapAll(string) (string, error) {
	go func() {
		for {
			if _, err := syscall.Wait4(-1, nil, 0, nil); err != nil {
				return
			}
		}
	}()
	return "", nil
}
