package httpx

import (
	"os"
	"runtime/debug"
	"strings"
)

// isGodebug reports whether a setting of GODEBUG has a value: that of the environment or, without one, of the program's
// go.mod and go:debug lines. The last one counts, as in package internal/godebug.
func isGodebug(name, value string) bool {
	built := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "DefaultGODEBUG" {
				built = s.Value
			}
		}
	}
	found := ""
	for setting := range strings.SplitSeq(built+","+os.Getenv("GODEBUG"), ",") {
		if k, v, ok := strings.Cut(setting, "="); ok && k == name {
			found = v
		}
	}
	return found == value
}
