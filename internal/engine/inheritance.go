package engine

import (
	"encoding/json"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// inheritance is what a generation has from its parent, beside sockets and other files: the payload of the manifest. Package upgrade
// carries it, and knows nothing of it. A first generation has none.
//
// A new field needs no new version. The version of the manifest is raised when one changes its meaning.
type inheritance struct {
	PIDFile   string       `json:"pidfile"`   // the parent's
	Ancestors []peers.Peer `json:"ancestors"` // generations that may still live, oldest first

	// Tickets are the secrets of TLS session tickets, the newest first. They are nowhere but in the
	// memory of the generations and, for a moment, in the socket between two of them.
	Tickets []tickets.Secret `json:"tickets,omitempty"`

	// Shadowed are the variables of the environment that the parent has from its env_file, each
	// with the value that it had before; nil for none. It is bytes, as such a value need not be UTF-8.
	Shadowed map[string][]byte `json:"shadowed,omitzero"`

	// Managed says that the daemon's supervisor speaks to systemd.
	Managed bool `json:"managed,omitempty"`

	// Storing says that the parent's configuration has fdstore.
	Storing bool `json:"storing,omitempty"`

	// History is what has been tried before this generation was started.
	History earlierUpgrades `json:"history,omitzero"`
}

// earlierUpgrades are the upgrades before a generation. That it is there itself says how many of
// them succeeded.
type earlierUpgrades struct {
	Failed int       `json:"failed,omitempty"` // since generation 1
	Asked  time.Time `json:"asked,omitzero"`   // when the upgrade began that has brought up this one
}

// readInheritance reads what the parent has said; in a first generation, nothing.
func readInheritance(m upgrade.Manifest) (inheritance, error) {
	var from inheritance
	if m.Generation == 1 {
		return from, nil
	}
	if err := json.Unmarshal(m.Payload, &from); err != nil {
		return inheritance{}, fmt.Errorf("payload from the previous generation: %w", err)
	}
	return from, nil
}

// payload is what the next generation has from this one: ancestors are all that may still live, and earlier is what was tried before it, the
// attempt that starts it included.
func payload(e *Engine, ancestors []peers.Peer, earlier earlierUpgrades) (json.RawMessage, error) {
	data, err := json.Marshal(inheritance{
		PIDFile:   e.PIDFile(),
		Ancestors: ancestors,
		Tickets:   e.groups.TLS().Tickets(),
		Shadowed:  e.shadowed,
		Managed:   e.super.managed,
		Storing:   e.conf.Daemon.FDStore,
		History:   earlier,
	})
	if err != nil {
		return nil, fmt.Errorf("encode payload: %w", err)
	}
	return data, nil
}
