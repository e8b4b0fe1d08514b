package upgrade

import (
	"encoding/json"
	"fmt"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"
)

// manifestVersion is raised when a field changes its meaning. A successor built
// with another version of gozd refuses what it cannot read, and the upgrade fails
// with those words; new fields need no new version.
const manifestVersion = 1

// Manifest tells a new generation where it stands.
type Manifest struct {
	Version    int           `json:"version"`
	Generation int           `json:"generation"` // of the reader; the first process is generation 1
	Timeout    time.Duration `json:"timeout_ns"` // it must be ready within this time

	// Probation is the longest that the reader may serve beside the writer before it
	// is ready. The writer waits as long as its own configuration says.
	Probation time.Duration `json:"probation_ns,omitempty"`

	PIDFile   string       `json:"pidfile"`   // of the generation that wrote this
	Sockets   []Socket     `json:"sockets"`   // the listeners that it inherits
	Ancestors []peers.Peer `json:"ancestors"` // generations that may still live, oldest first

	// Tickets are the secrets of TLS session tickets, the newest first. They are nowhere but in the
	// memory of the generations and, for a moment, in the socket between two of them.
	Tickets []tickets.Secret `json:"tickets,omitempty"`

	// Shadowed are the variables of the environment that the writer has from its env_file, each
	// with the value that it had before; nil for none. It is bytes, as such a value need not be UTF-8.
	Shadowed map[string][]byte `json:"shadowed,omitzero"`

	// Managed says that the daemon's supervisor speaks to systemd.
	Managed bool `json:"managed,omitempty"`

	// Storing says that the writer's configuration has fdstore.
	Storing bool `json:"storing,omitempty"`

	// History is what has been tried before the reader was started.
	History History `json:"history,omitzero"`
}

// History are the upgrades before a generation. That it is there itself says how many of
// them succeeded.
type History struct {
	Failed int       `json:"failed,omitempty"` // since generation 1
	Asked  time.Time `json:"asked,omitzero"`   // when the upgrade began that has brought up the reader
}

// Socket describes a listener that generations pass on.
type Socket struct {
	ID      string `json:"id"`      // names the descriptor for as long as it lives, whatever group it serves
	Group   string `json:"group"`   // the group that it serves
	Network string `json:"network"` // "tcp" or "unix"
	Address string `json:"address"` // as the configuration had it
	Bound   string `json:"bound"`   // as it is: with a port for port 0

	// File is that of a Unix socket when it was bound, as socket.FileID has it; "" where it is not known.
	File string `json:"file,omitempty"`

	// Activated says that systemd has opened it for the daemon, and keeps it: its file is not the
	// daemon's to change or remove, and what waits in its queue is for whoever is started next.
	Activated bool `json:"activated,omitempty"`
}

func decodeManifest(data []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return Manifest{}, fmt.Errorf("upgrade: manifest from the previous generation: %w", err)
	}
	if m.Version != manifestVersion {
		return Manifest{}, fmt.Errorf("upgrade: manifest from the previous generation has version %d, this binary reads %d",
			m.Version, manifestVersion)
	}
	if m.Generation < 2 {
		return Manifest{}, fmt.Errorf("upgrade: manifest from the previous generation: generation %d is out of range", m.Generation)
	}
	return m, nil
}
