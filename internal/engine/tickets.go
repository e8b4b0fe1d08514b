package engine

import "bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"

// useTickets has clients of the https groups resume their TLS sessions with this
// generation, and later with its successors. A daemon without such a group has no secrets of its own, and passes on none.
func (e *Engine) useTickets() error {
	if !e.hasTLS() {
		e.up.SetTickets(e.up.Manifest().Tickets)
		return nil
	}
	var err error
	e.tickets, err = tickets.Start(e.up.Manifest().Tickets, e.setTickets, func(err error) {
		e.log.Error("session ticket keys not rotated", "error", err)
	})
	return err
}

func (e *Engine) hasTLS() bool {
	for _, g := range e.order {
		if g.tls != nil {
			return true
		}
	}
	return false
}

// setTickets gives the secrets to the groups, and to successors.
func (e *Engine) setTickets(secrets []tickets.Secret) error {
	e.up.SetTickets(secrets)
	for _, g := range e.order {
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
