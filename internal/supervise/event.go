package supervise

import (
	"encoding/json"
	"fmt"
	"time"
)

// protocolVersion is raised when an event changes its meaning. The supervisor may be older than the
// generations, since it stays the binary that it is: it ignores kinds and fields that it does not know.
const protocolVersion = 1

// watchdogEnv is systemd's variable for how often it wants to be told that the service is alive.
const watchdogEnv = "WATCHDOG_USEC"

// Kind says what a generation does.
type Kind string

// The kinds of events.
const (
	Starting  Kind = "starting"  // it handles signals from now on, and is not ready
	Serving   Kind = "serving"   // it serves, instead of the one before it
	Upgrading Kind = "upgrading" // it serves, and has begun to start its successor
	Failed    Kind = "failed"    // it serves on, since the upgrade has failed
	Draining  Kind = "draining"  // it accepts nothing more, since its successor serves
	Stopping  Kind = "stopping"  // it accepts nothing more, since the daemon is to end
	Alive     Kind = "alive"     // it is not hanging; for the watchdog
	Settled   Kind = "settled"   // it serves, and its files say so; see Event.Settles
	Asking    Kind = "asking"    // it wants to know whether it is watched; see Client.Ask
	Keeping   Kind = "keeping"   // the sockets that come along are those to be kept; see Client.Keep
)

// Event is what a generation reports to its supervisor.
type Event struct {
	Version    int    `json:"v"`
	Kind       Kind   `json:"kind"`
	Generation int    `json:"generation,omitempty"`
	StartTime  uint64 `json:"start_time,omitempty"` // of the process, as process.StartTime has it

	// Text is why an upgrade has failed.
	Text string `json:"text,omitempty"`

	// Trying says, with Starting, that the generation serves beside the one before it, on probation. It is no kind: an older supervisor
	// would complain.
	Trying bool `json:"trying,omitempty"`

	// Within is the longest that what has begun may take.
	Within time.Duration `json:"within_ns,omitempty"`

	// StandsBy says, with Draining, that the generation would serve again if its successor died.
	StandsBy bool `json:"stands_by,omitempty"`

	// Settles says, with Serving, that Settled follows: until then systemd waits, since whoever looks into the files finds the generation
	// before. Without it nothing follows.
	Settles bool `json:"settles,omitempty"`

	// Names are those of the sockets, with Keeping.
	Names []string `json:"names,omitempty"`

	// Asks is what the answer to Asking repeats.
	Asks uint64 `json:"asks,omitempty"`

	// Keeps says, with Serving and Failed, that the generation has sockets kept, and has just said which. Without it
	// none are.
	Keeps bool `json:"keeps,omitempty"`
}

// maxText bounds Event.Text, which goes through a socket as one message, and ends in a
// line of systemctl status.
const maxText = 2 << 10

// maxNames bounds all of Event.Names, and maxKept their number: the kernel lets no more descriptors
// into one message (SCM_MAX_FD).
const (
	maxNames = 48 << 10
	maxKept  = 253
)

// maxEvent is room for any event: no character is more than six in JSON.
const maxEvent = 8*maxText + maxNames + 512

// Stored is a socket that systemd keeps for the daemon.
type Stored struct {
	Name  string
	Inode uint64 // tells it from another one of the name
}

func (e Event) encode() ([]byte, error) {
	e.Version = protocolVersion
	e.Text = e.Text[:min(len(e.Text), maxText)]
	return json.Marshal(e)
}

// decodeEvent reads what any process of the service's user may have written.
func decodeEvent(data []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(data, &e); err != nil {
		return Event{}, fmt.Errorf("supervise: event: %w", err)
	}
	if e.Version < 1 {
		return Event{}, fmt.Errorf("supervise: event of version %d", e.Version)
	}
	e.Text = oneLine(e.Text)
	return e, nil
}
