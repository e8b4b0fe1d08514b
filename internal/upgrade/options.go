package upgrade

import (
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// DefaultTimeout is used where Options.Timeout is zero.
const DefaultTimeout = time.Minute

// Options configure an [Upgrader]. The zero value is valid.
type Options struct {
	// Timeout is how long a successor may take to become ready. If zero or
	// negative, DefaultTimeout is used.
	Timeout time.Duration

	// Probation is how long a successor may serve beside this process before it
	// is ready, and Verdict how long it may take from then on until it is, or has
	// ended. If Probation is zero, it must be ready within Timeout.
	Probation, Verdict time.Duration

	// StandBy has this process stand by behind its successors: when one dies that has taken over, see Successor.Outcome, this
	// process can serve and be upgraded again. It has no effect where the successor's process could not be found, other
	// than Linux.
	StandBy bool
}

func (o *Options) standsBy() bool { return o.StandBy && process.FindsChildren }

// killTime is when tableflip kills a successor. Where this process stands by, it does so itself.
func (o *Options) killTime() time.Duration {
	if o.standsBy() {
		return never
	}
	return o.limit() + wordsWait
}

// limit is the longest that an upgrade takes.
func (o *Options) limit() time.Duration {
	if o.Probation <= 0 {
		return o.timeout()
	}
	return o.timeout() + o.Probation + o.Verdict
}

func (o *Options) timeout() time.Duration {
	if o.Timeout <= 0 {
		return DefaultTimeout
	}
	return o.Timeout
}

// wordsWait is how long a successor whose time is over may take to say why it is not ready, before it is killed. It has been
// asked for that, and only a machine that is very busy needs more than a moment.
const wordsWait = 5 * time.Second
