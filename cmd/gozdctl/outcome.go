package main

import (
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

// outcome is what --json prints: docs/gozdctl.schema.json describes it. Like the
// protocol of the control socket it only grows.
type outcome struct {
	Command    string `json:"command"`
	ExitStatus int    `json:"exit_status"`
	failure
	PIDFile string `json:"pidfile,omitempty"`

	// Serving is the generation that serves afterwards: after start, upgrade and rollback.
	Serving *generation `json:"serving,omitempty"`

	// Asked is the generation that was asked: by stop, quit, reopen and reload-certs.
	Asked *generation `json:"asked,omitempty"`

	// Renewed are the groups that have other certificates: of reload-certs.
	Renewed []string `json:"renewed,omitempty"`

	// Ended are the generations that have ended: of stop.
	Ended []generation `json:"ended,omitempty"`

	// Seconds is how long it took: from the request until the new generation was ready, or
	// until the daemon had ended.
	Seconds *float64 `json:"seconds,omitempty"`

	Upgrade *upgradeOutcome  `json:"upgrade,omitempty"`
	Status  *protocol.Status `json:"status,omitempty"`
	Check   *checkOutcome    `json:"check,omitempty"`
	Daemons []daemonEntry    `json:"daemons,omitzero"` // of list
	Log     string           `json:"log,omitempty"`
	Version *protocol.Build  `json:"version,omitempty"`

	acted bool // something was done that standard output cannot undo
}

// failure is why it has failed.
type failure struct {
	Error  string `json:"error,omitempty"`
	Advice string `json:"advice,omitempty"` // what to do next
}

// generation names one process of a daemon.
type generation struct {
	Generation int `json:"generation"`
	PID        int `json:"pid"`
}

// upgradeOutcome is what an upgrade did, or why it did not.
type upgradeOutcome struct {
	Old     generation      `json:"old"`
	DryRun  bool            `json:"dry_run,omitempty"` // one that has passed: old serves on
	Stage   string          `json:"stage,omitempty"`   // of one that failed
	Reason  string          `json:"reason,omitempty"`  // the daemon's own words
	Failed  int             `json:"failed_pid,omitempty"`
	Drained *protocol.Event `json:"drained,omitempty"` // absent while it drains
}

// checkOutcome is what check has found.
type checkOutcome struct {
	Config   string   `json:"config"`
	Problems []string `json:"problems"` // none, of a good one
}
