// Package protocol is what a generation of a daemon and whoever asks it say to each
// other on the control socket: the paths, and the JSON that goes over them. It is
// HTTP, so that curl can speak it too.
//
// The types only grow: a field keeps its name and meaning for as long as the paths
// begin with /v1, and who reads ignores fields that it does not know. Durations are
// in seconds, as everywhere in what operators' tools read.
package protocol

import (
	"fmt"
	"time"
)

// The paths. Those that act take POST and nothing else; those that show take GET.
const (
	PathStatus      = "/v1/status"       // GET: a Status
	PathUpgrade     = "/v1/upgrade"      // POST: a stream of Events, one JSON object a line
	PathDryRun      = "/v1/dry-run"      // POST: a stream of Events, likewise
	PathRollback    = "/v1/rollback"     // POST: an Answer, when the previous generation serves alone again
	PathStop        = "/v1/stop"         // POST: an Answer at once; the daemon ends under stop_timeout
	PathQuit        = "/v1/quit"         // POST: the same under drain_timeout
	PathReopen      = "/v1/reopen"       // POST: an Answer, when every generation has been told
	PathReloadCerts = "/v1/reload-certs" // POST: an Answer with Renewed
	PathDrain       = "/v1/drain"        // GET: a stream of Events until this generation has drained
	PathMetrics     = "/metrics"         // GET: the Prometheus text format
	PathProgram     = "/v1/program"      // GET: the same, of what the program counts in this generation; nothing if it does not say
)

// What can follow a path in its query.
const (
	QueryDrain = "drain" // of PathUpgrade: no ends the stream when the new generation serves
	QueryAlone = "alone" // of PathStatus: yes leaves the other generations out
	QueryAll   = "all"   // of PathMetrics: no leaves the other generations out; of PathProgram: yes adds them, and PathMetrics

	Yes = "yes"
	No  = "no"
)

// SocketPath returns the path of the control socket of the generation with that PID,
// which lies beside the PID file.
func SocketPath(pidfile string, pid int) string { return fmt.Sprintf("%s.%d.sock", pidfile, pid) }

// State is where a generation is in its life.
type State string

// The states, in their order.
const (
	Starting     State = "starting"     // not ready yet
	Probation    State = "probation"    // serves beside the previous generation
	Serving      State = "serving"      // the one that the PID file names
	Draining     State = "draining"     // accepts nothing new
	Unresponsive State = "unresponsive" // lives, but did not answer the generation that was asked
)

// Status is the daemon as the generation that was asked sees it.
type Status struct {
	PIDFile     string       `json:"pidfile"`
	Config      string       `json:"config"`
	Log         string       `json:"log,omitempty"`        // the log file; empty where there is none
	Managed     bool         `json:"managed,omitempty"`    // systemd runs it, and is told how it is
	Supervisor  int          `json:"supervisor,omitempty"` // PID of the process in front of the generations; 0 without one
	Generation  int          `json:"generation"`           // of the one that answers
	Generations []Generation `json:"generations"`          // all that live, oldest first
	Upgrades    Upgrades     `json:"upgrades"`
}

// Upgrades are the upgrades that the generation which answers has tried, with that
// which brought it up.
type Upgrades struct {
	InProgress  bool     `json:"in_progress"`
	Succeeded   int      `json:"succeeded"` // since generation 1
	Failed      int      `json:"failed"`    // since generation 1
	LastFailure string   `json:"last_failure,omitempty"`
	LastSeconds *float64 `json:"last_seconds,omitempty"` // from the request until the last one was ready; nil before the first
}

// Generation is one process of the daemon.
type Generation struct {
	Generation int       `json:"generation"`
	PID        int       `json:"pid"`
	StartTime  uint64    `json:"start_time"` // tells the process from a later one with its PID
	State      State     `json:"state"`
	Reason     string    `json:"reason,omitempty"` // why it drains: upgrade, quit, stop
	Started    time.Time `json:"started,omitzero"`
	Since      time.Time `json:"since,omitzero"` // the state's beginning
	Until      time.Time `json:"until,omitzero"` // the end of its probation, or the deadline of its drain
	Binary     string    `json:"binary"`
	Changed    bool      `json:"binary_changed,omitempty"` // by now another file is there than this process runs, or none
	Build      Build     `json:"build"`
	Groups     []Group   `json:"groups"` // in the configuration's order; nil from an unresponsive one
}

// Build is what the Go toolchain has noted in a binary (runtime/debug.ReadBuildInfo).
// What it has not noted is empty.
type Build struct {
	Module   string    `json:"module,omitempty"`
	Version  string    `json:"version,omitempty"`
	Revision string    `json:"revision,omitempty"` // of the version control system
	Time     time.Time `json:"time,omitzero"`      // of that revision
	Modified bool      `json:"modified,omitempty"` // there were changes on top of it
	Go       string    `json:"go,omitempty"`       // the toolchain's version
}

// Group is one group of a generation. The counters begin with the process.
type Group struct {
	Name     string `json:"name"`
	Mode     string `json:"mode"`
	Network  string `json:"network"` // tcp, unix, udp or unixgram
	Address  string `json:"address"` // as it is: with a port for port 0
	Open     int    `json:"open"`    // connections now, all states together
	Parked   int    `json:"parked"`  // of them, those that wait for their first byte after a move
	Accepted uint64 `json:"accepted"`
	MovedIn  uint64 `json:"moved_in"`
	MovedOut uint64 `json:"moved_out"`
	Cut      int    `json:"cut"` // closed at a deadline

	Total Total `json:"total"`

	// Stayed counts, by reasons, the connections that were to move with their keys (move_tls) and could not.
	Stayed map[string]uint64 `json:"stayed,omitempty"`
}

// Total counts connections of a group since generation 1, in all generations. A daemon that is started anew begins anew.
type Total struct {
	Accepted uint64 `json:"accepted"`
	MovedIn  uint64 `json:"moved_in"`
	MovedOut uint64 `json:"moved_out"`
	Cut      uint64 `json:"cut"`
}

// Answer is what an action that needs no stream is answered with, and every error.
type Answer struct {
	PID        int      `json:"pid,omitempty"` // of the generation that has acted
	Generation int      `json:"generation,omitempty"`
	Renewed    []string `json:"renewed,omitempty"` // the groups with something new, of PathReloadCerts
	PIDFile    string   `json:"pidfile,omitempty"` // of PathStop and PathQuit: where an upgrade has moved it, if this generation has been replaced, and alone hurries
	Error      string   `json:"error,omitempty"`   // in words; empty after a success
	Code       string   `json:"code,omitempty"`    // which error, for programs: see Codes
}

// The codes of errors.
const (
	CodeNotServing  = "not_serving"  // this generation does not serve: ask the one that does
	CodeNoProbation = "no_probation" // there is nothing to roll back
	CodeForbidden   = "forbidden"    // the peer is neither the daemon's user nor root
	CodeUnsupported = "unsupported"  // the platform cannot upgrade
	CodeInvalid     = "invalid"      // the request makes no sense
	CodeNotFound    = "not_found"    // there is no such path, or it takes another method
	CodeFailed      = "failed"       // it was tried, and the error says why it did not work
)

// EventType says what an Event tells.
type EventType string

// The events of an upgrade, in the order in which they come. A stream ends after
// Failed, Superseded, Drained or Passed; with drain=no in the query after Served.
const (
	Waiting     EventType = "waiting"    // another upgrade is in progress; this one comes after it
	Started     EventType = "started"    // the new process runs: Generation, PID
	OnProbation EventType = "probation"  // it serves on probation, for Seconds
	Served      EventType = "served"     // it is the one that serves; Seconds since the request
	Failed      EventType = "failed"     // nothing has changed: Stage, Error; PID of the process that failed
	Superseded  EventType = "superseded" // the upgrade before this one has succeeded: ask Generation, PID
	DrainBegan  EventType = "draining"   // again and again: Open connections of this generation are left
	Drained     EventType = "drained"    // all are gone: Moved, Ended, Cut, Seconds
	Passed      EventType = "passed"     // of a dry run: the new process was ready after Seconds, and has ended: Generation, PID
)

// Ends reports whether a stream ends with the event.
func (t EventType) Ends() bool { return t == Failed || t == Superseded || t == Drained || t == Passed }

// Event is one line of a stream.
type Event struct {
	Type       EventType `json:"event"`
	Time       time.Time `json:"time"`
	Generation int       `json:"generation,omitempty"`
	PID        int       `json:"pid,omitempty"`
	StartTime  uint64    `json:"start_time,omitempty"`
	PIDFile    string    `json:"pidfile,omitempty"` // of Served and Superseded, if the upgrade has moved it
	Seconds    float64   `json:"seconds,omitempty"`
	Stage      string    `json:"stage,omitempty"`
	Error      string    `json:"error,omitempty"`
	Open       int       `json:"open,omitempty"`
	Moved      int       `json:"moved,omitempty"`
	Ended      int       `json:"ended,omitempty"`
	Cut        int       `json:"cut,omitempty"`
	Until      time.Time `json:"until,omitzero"` // a deadline
}
