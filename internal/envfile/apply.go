package envfile

import (
	"fmt"
	"maps"
	"os"
	"slices"
)

// Apply sets the variables in this process's environment, and returns what they
// were before: nil for those that were not set. After an error nothing has changed.
func Apply(vars map[string]string) (before map[string][]byte, err error) {
	before = make(map[string][]byte, len(vars))
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		old, set := os.LookupEnv(name)
		if err := os.Setenv(name, vars[name]); err != nil {
			Restore(before)
			return nil, fmt.Errorf("set %s: %w", name, err)
		}
		before[name] = nil
		if set {
			before[name] = []byte(old)
		}
	}
	return before, nil
}

// Restore undoes an Apply.
func Restore(before map[string][]byte) {
	for name, value := range before {
		if value == nil {
			_ = os.Unsetenv(name)
			continue
		}
		_ = os.Setenv(name, string(value)) // it has been set before
	}
}
