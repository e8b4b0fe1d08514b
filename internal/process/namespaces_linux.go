package process

import "os"

// namespaces are those on which it depends by which PID and start time a process is known: namespaces(7).
var namespaces = []string{"pid", "time"}

// Namespaces returns those of this process that are known, by kind.
func Namespaces() map[string]string {
	found := make(map[string]string)
	for _, kind := range namespaces {
		if id, err := os.Readlink("/proc/self/ns/" + kind); err == nil { // Linux 5.6 and later have those of time
			found[kind] = id
		}
	}
	return found
}
