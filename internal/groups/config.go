package groups

import (
	"slices"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/activation"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// LoadConfig reads the configuration file, as far as this process can know which groups have their socket from systemd: parent is what
// the previous generation has passed on, and nil in a process that is no generation yet, or does not know; ownTLS,
// that the program has a tls.Config of its own.
func LoadConfig(path string, parent *upgrade.Manifest, ownTLS bool) (*config.Config, error) {
	opts, err := configOptions(parent)
	if err != nil {
		return nil, err
	}
	opts.OwnTLS = ownTLS
	return config.Load(path, opts)
}

// configOptions say which groups have their socket from systemd. Before a successor has read
// what its parent says, it cannot know.
func configOptions(parent *upgrade.Manifest) (config.Options, error) {
	opts := config.Options{Sockets: make(map[string]config.Address)}
	if upgrade.IsSuccessor() {
		opts.AnySocket = true
		return opts, nil
	}
	if parent != nil {
		for _, s := range parent.Sockets {
			if s.Activated {
				opts.Sockets[s.Group] = config.Address{Network: s.Network, Address: s.Bound}
			}
		}
	}
	sockets, err := activation.Inherited()
	for _, s := range sockets {
		if !s.IsStored() {
			opts.Sockets[s.Name] = addressOf(s.Socket)
		}
	}
	return opts, err
}

// DependsOnParent reports whether a configuration that was read without the manifest has to be read again with it: a socket of
// systemd's may be inherited.
func DependsOnParent(conf *config.Config, parent *upgrade.Manifest) bool {
	return slices.ContainsFunc(parent.Sockets, func(s upgrade.Socket) bool { return s.Activated }) || lacksListen(conf)
}

func addressOf(s socket.Socket) config.Address {
	return config.Address{Network: s.Addr().Network(), Address: s.Addr().String()}
}

// fromSystemd returns the socket that systemd has passed for a group, or nil.
func fromSystemd(group string) socket.Socket {
	sockets, err := activation.Inherited()
	if err != nil {
		return nil // has been reported with the configuration
	}
	for _, s := range sockets {
		if s.Name == group {
			return s.Socket
		}
	}
	return nil
}

// lacksListen reports whether a group says nothing of where it listens.
func lacksListen(conf *config.Config) bool {
	return conf != nil && slices.ContainsFunc(conf.Groups, func(g config.Group) bool { return g.Listen.Network == "" })
}
