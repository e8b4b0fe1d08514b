package groups

import (
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

// Each kind of connection has a key of its own.
func TestKeysDiffer(t *testing.T) {
	seen := make(map[string]config.Group)
	for _, network := range []string{"tcp", "unix"} {
		for _, mode := range []config.Mode{config.HTTP, config.FCGI, config.TCP, config.HTTPS} {
			for _, name := range []string{"web", "api"} {
				g := config.Group{Name: name, Mode: mode, Listen: config.Address{Network: network}, MoveTLS: mode == config.HTTPS}
				for _, key := range []string{handoverKey(&g), silentKey(&g), sealedKey(&g)} {
					if other, has := seen[key]; has && key != "" {
						t.Errorf("%q is the key of %+v and %+v", key, g, other)
					}
					seen[key] = g
				}
			}
		}
	}
}
