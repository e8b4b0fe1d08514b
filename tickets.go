package gozd

import (
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"
)

// useTickets has clients of the https groups resume their TLS sessions with this
// generation, and later with its successors. A daemon without such a group has no secrets.
func (d *Daemon) useTickets() error {
	secrets := d.up.Manifest().Tickets
	if d.hasTLS() {
		secrets = tickets.Rotate(secrets, time.Now())
	}
	if err := d.setTickets(secrets); err != nil {
		return err
	}
	if len(secrets) == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rotation = time.AfterFunc(tickets.Next(secrets, time.Now()), d.rotateTickets)
	return nil
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
	d.mu.Lock()
	d.tickets = secrets
	d.mu.Unlock()
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

// rotateTickets is run once a day, until this generation accepts nothing more.
func (d *Daemon) rotateTickets() {
	d.mu.Lock()
	secrets := tickets.Rotate(d.tickets, time.Now())
	leaves := d.phase.drains()
	d.mu.Unlock()
	if leaves {
		return
	}
	if err := d.setTickets(secrets); err != nil {
		d.log.Error("session ticket keys not rotated", "error", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rotation.Reset(tickets.Next(secrets, time.Now()))
}

// resumeTickets begins the rotation again.
func (d *Daemon) resumeTickets() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rotation != nil {
		d.rotation.Reset(tickets.Next(d.tickets, time.Now()))
	}
}

// stopTickets ends the rotation.
func (d *Daemon) stopTickets() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rotation != nil {
		d.rotation.Stop()
	}
}
