package upgrade

import "time"

// patience is what a successor has that is not ready in time: it is asked why, gets a moment to say it, and is killed. One that
// has begun its probation gets the time of that.
type patience struct {
	opts      *Options
	asked     bool
	probation bool // its probation has been waited for
	kills     int  // how often it has been killed
}

const (
	// killPause is between two attempts to kill a successor. A process that has been killed needs about that long to end.
	killPause = 20 * time.Millisecond

	// maxKills is how often that is tried before it is left to tableflip: ten seconds.
	maxKills = int(10 * time.Second / killPause)
)

// over says that the successor is to end, whatever it does.
func (p *patience) over() bool { return p.kills > 0 }

// gaveUp says that it could not be made to.
func (p *patience) gaveUp() bool { return p.kills > maxKills }

// next is called when the time is over that it has returned the last time, at first Options.Timeout. One that has not come to
// its bootstrap message yet finds the question there.
func (p *patience) next(onProbation bool) (wait time.Duration) {
	switch {
	case !p.asked:
		p.asked = true
		return wordsWait
	case !p.probation && onProbation && p.kills == 0:
		p.probation = true
		return p.opts.limit() - p.opts.timeout()
	}
	p.kills++
	return killPause
}
