package engine

import (
	"net"
	"slices"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/activation"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// configOptions say which groups have their socket from systemd. Before a successor has read
// what its parent says, it cannot know.
func (e *Engine) configOptions() (config.Options, error) {
	opts := config.Options{Sockets: make(map[string]config.Address)}
	if upgrade.IsSuccessor() {
		opts.AnySocket = true
		return opts, nil
	}
	if e.up != nil {
		for _, s := range e.up.Manifest().Sockets {
			if s.Activated {
				opts.Sockets[s.Group] = config.Address{Network: s.Network, Address: s.Bound}
			}
		}
	}
	sockets, err := activation.Inherited()
	for _, s := range sockets {
		if !s.IsStored() {
			opts.Sockets[s.Name] = addressOf(s.Listener)
		}
	}
	return opts, err
}

func addressOf(ln net.Listener) config.Address {
	return config.Address{Network: ln.Addr().Network(), Address: ln.Addr().String()}
}

// LoadConfig reads the configuration file of a process that is no generation yet.
func LoadConfig(path string) (*config.Config, error) {
	return (&Engine{opts: Options{Config: path}}).loadConfig()
}

// loadConfig reads the configuration, as far as this process can know which sockets it has.
func (e *Engine) loadConfig() (*config.Config, error) {
	opts, err := e.configOptions()
	if err != nil {
		return nil, err
	}
	return config.Load(e.opts.Config, opts)
}

// hasActivated reports whether the previous generation passes on sockets of systemd's.
func (e *Engine) hasActivated() bool {
	for _, s := range e.up.Manifest().Sockets {
		if s.Activated {
			return true
		}
	}
	return false
}

// fromSystemd returns the listener that systemd has passed for a group, or nil.
func fromSystemd(group string) socket.Listener {
	sockets, err := activation.Inherited()
	if err != nil {
		return nil // has been reported with the configuration
	}
	for _, s := range sockets {
		if ln, ok := s.Listener.(socket.Listener); ok && s.Name == group {
			return ln
		}
	}
	return nil
}

// lacksListen reports whether a group says nothing of where it listens.
func lacksListen(conf *config.Config) bool {
	return conf != nil && slices.ContainsFunc(conf.Groups, func(g config.Group) bool { return g.Listen.Network == "" })
}
