package gozd

import "bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"

// useTickets has clients of the https groups resume their TLS sessions with this
// generation, and later with its successors. A daemon without such a group has no secrets of its own, and passes on none.
func (d *Daemon) useTickets() error {
	if !d.hasTLS() {
		d.up.SetTickets(d.up.Manifest().Tickets)
		return nil
	}
	var err error
	d.tickets, err = tickets.Start(d.up.Manifest().Tickets, d.setTickets, func(err error) {
		d.log.Error("session ticket keys not rotated", "error", err)
	})
	return err
}

func (d *Daemon) hasTLS() bool {
	for _, g := range d.order {
		if g.tls != nil {
			return true
		}
	}
	return false
}

// setTickets gives the secrets to the groups, and to successors.
func (d *Daemon) setTickets(secrets []tickets.Secret) error {
	d.up.SetTickets(secrets)
	for _, g := range d.order {
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
