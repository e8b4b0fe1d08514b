package supervise

import "time"

// step is the most that an allowance gives up for what has passed between two looks at the clock.
const step = 20 * time.Millisecond

// allowance is how long one turn of the loop goes on waiting for the readers. It counts the time in which this process runs. One that
// has stood still, by SIGSTOP or in a container that was frozen, finds that the time is over and that much has been said:
// by the clock alone it would hear none of it.
type allowance struct {
	left time.Duration
	last time.Time // when the clock was looked at
}

func newAllowance(d time.Duration) allowance { return allowance{left: d, last: time.Now()} }

// isOver looks at the clock.
func (p *allowance) isOver() bool {
	now := time.Now()
	p.left -= min(now.Sub(p.last), step)
	p.last = now
	return p.left <= 0
}
