package load

import "time"

// Exchange is what became of one exchange of a load with Trace.
type Exchange struct {
	Kind       string
	Ended      time.Time
	Took       time.Duration
	PID        int  // of the process that answered
	Generation int  // of the same, 0 if nobody has learned it
	Failed     bool // then Took, PID and Generation are as far as they were known
}

// Traced returns what the load's recorder has counted of it, one by one, in no order. It returns nothing while a client still runs, and
// nothing without Trace.
func (l *Load) Traced() []Exchange {
	select {
	case <-l.stopped:
	default:
		return nil
	}
	var all []Exchange
	generations := make(map[int]int)
	for _, u := range l.users {
		for _, e := range u.trace {
			if e.Generation != 0 && !e.Failed {
				generations[e.PID] = e.Generation
			}
		}
		all = append(all, u.trace...)
	}
	for i, e := range all {
		if e.Generation == 0 {
			all[i].Generation = generations[e.PID]
		}
	}
	return all
}

// note keeps an exchange. Each user has a trace of its own, so that users do not wait for each other.
func (u *user) note(reply Reply, err error) {
	u.trace = append(u.trace, Exchange{
		Kind: u.kind, Ended: time.Now(), Took: reply.Took, PID: reply.PID, Generation: reply.Generation, Failed: err != nil,
	})
}
