package upgrade

import (
	"encoding/json"
	"fmt"
	"time"
)

// manifestVersion is raised when a field changes its meaning, be it one in the payload. A successor built
// with another version of gozd refuses what it cannot read, and the upgrade fails
// with those words; new fields need no new version. Version 1 had no payload, but its fields beside the sockets.
const manifestVersion = 2

// dryRunVersion is that of a manifest for a dry run. A binary from before there were any refuses it, and does not take over.
const dryRunVersion = 1<<16 + manifestVersion

// Manifest tells a new generation where it stands.
type Manifest struct {
	Version    int           `json:"version"`
	Generation int           `json:"generation"` // of the reader; the first process is generation 1
	Timeout    time.Duration `json:"timeout_ns"` // it must be ready within this time

	// Probation is the longest that the reader may serve beside the writer before it
	// is ready. The writer waits as long as its own configuration says.
	Probation time.Duration `json:"probation_ns,omitempty"`

	Sockets []Socket `json:"sockets"` // the listeners that the reader inherits

	// Namespaces are the writer's, as process.Namespaces has them.
	Namespaces map[string]string `json:"namespaces,omitempty"`

	// DryRun says that the reader must not take over: it ends when it is ready.
	DryRun bool `json:"dry_run,omitempty"`

	// Payload is what the writer's program has for the reader's. Nothing in this package knows what it says.
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Socket describes a socket that generations pass on.
type Socket struct {
	ID      string `json:"id"`      // names the descriptor for as long as it lives, whatever group it serves
	Group   string `json:"group"`   // the group that it serves
	Network string `json:"network"` // "tcp", "unix", "udp" or "unixgram"
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
	if m.DryRun && m.Version == dryRunVersion {
		m.Version = manifestVersion
	}
	if m.Version != manifestVersion {
		return Manifest{}, fmt.Errorf("upgrade: the previous generation sends version %d of the manifest, and this binary reads version %d: restart instead of upgrading",
			m.Version, manifestVersion)
	}
	if m.Generation < 2 {
		return Manifest{}, fmt.Errorf("upgrade: manifest from the previous generation: generation %d is out of range", m.Generation)
	}
	return m, nil
}

// checkNamespaces reports an error if this process, which has ours, is known by other numbers than the writer's processes are: both would
// take what the other says of itself for a third one's.
func (m *Manifest) checkNamespaces(ours map[string]string) error {
	for kind, id := range m.Namespaces {
		if our := ours[kind]; our != "" && our != id {
			return fmt.Errorf("upgrade: this process is in another %s namespace than the previous generation, and has another PID or start time there: "+
				"whatever starts the binary must leave it in that one, or restart instead of upgrading", kind)
		}
	}
	return nil
}
