package config

// RuntimeDir lets tests be another user on another system.
func RuntimeDir(goos string, euid int, environ []string, program string) string {
	return platform{goos, euid, environ}.runtimeDir(program)
}

// Hooks for what one machine can show only one side of.
var (
	MaxSocketPath = maxSocketPath
	Suggest       = suggest
)

// Conflicts reports whether the two addresses exclude each other.
func Conflicts(a, b Address) bool { return a.conflicts(b) }

// ParseNative reads the native format, without a look at which keys there are.
func ParseNative(data []byte) (map[string]any, error) {
	p := parseNative(data)
	if err := asError(p.errs); err != nil {
		return nil, err
	}
	return p.tree(), nil
}
