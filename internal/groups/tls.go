package groups

import (
	"crypto/tls"
	"slices"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// tlsConfig is an https group's; it is nil for other modes.
func tlsConfig(conf *config.Config, g *config.Group) (*tls.Config, error) {
	pair, err := check.KeyPair(conf, g)
	if err != nil || pair == nil {
		return nil, err
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{*pair},
		NextProtos:   []string{"http/1.1"},
		MinVersion:   tls.VersionTLS12,
	}
	if g.HTTP2 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	return config, nil
}

// testMoves makes sure that connections of TLS can move before clients rely on it.
func (set *Set) testMoves() {
	if !slices.ContainsFunc(set.order, func(g *group) bool { return g.conf.MoveTLS }) {
		return
	}
	if err := tlswatch.SelfTest(); err != nil {
		set.opts.Log.Error("connections of TLS do not move", "error", err)
	}
}

// useTickets has clients of the https groups resume their TLS sessions with this
// generation, and later with its successors. A daemon without such a group has no secrets of its own, and passes on none.
func useTickets(set *Set) error {
	if !slices.ContainsFunc(set.order, func(g *group) bool { return g.tls != nil }) {
		set.secrets.Store(&set.opts.Tickets)
		return nil
	}
	var err error
	set.Rotation, err = tickets.Start(set.opts.Tickets, set.setTickets, func(err error) {
		set.opts.Log.Error("session ticket keys not rotated", "error", err)
	})
	return err
}

// Tickets are the secrets that successors are given.
func (set *Set) Tickets() []tickets.Secret {
	if all := set.secrets.Load(); all != nil {
		return *all
	}
	return nil
}

// setTickets gives the secrets to the groups, and to successors.
func (set *Set) setTickets(secrets []tickets.Secret) error {
	set.secrets.Store(&secrets)
	for _, g := range set.order {
		if g.tls == nil {
			continue
		}
		keys, err := tickets.Keys(secrets, g.conf.Name, g.tls.Certificates[0].Certificate[0])
		if err != nil {
			return err
		}
		g.tls.SetSessionTicketKeys(keys)
	}
	return nil
}
