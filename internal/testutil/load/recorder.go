package load

import (
	"sync"
	"time"
)

// Recorder counts what became of the exchanges, by kind. The zero value is
// ready, and its methods may be called by several goroutines at once.
type Recorder struct {
	mu          sync.Mutex // guards the rest
	kinds       []*kindRecord
	byName      map[string]*kindRecord
	generations map[int]int // of each process that told
}

// keptErrors is how many error texts are kept of each kind.
const keptErrors = 5

// kindRecord is what is known of one kind.
type kindRecord struct {
	name       string
	requests   int
	failed     int
	dialed     int
	reconnects int
	errors     []string
	latencies  latencies
	served     map[process]int
}

// process is who answered; the generation is 0 where the protocol does not
// tell it.
type process struct{ generation, pid int }

// Record counts one exchange of the kind: reply and err are what Do returned.
// Only exchanges that succeeded count as served, and in the latencies.
func (rec *Recorder) Record(kind string, reply Reply, err error) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	k := rec.kindLocked(kind)
	k.requests++
	if reply.Dialed {
		k.dialed++
	}
	if reply.Reconnected {
		k.reconnects++
	}
	if err != nil {
		k.fail(err)
		return
	}
	k.latencies.add(reply.Took)
	k.served[process{reply.Generation, reply.PID}]++
	if reply.Generation != 0 {
		rec.generations[reply.PID] = reply.Generation
	}
}

// Expect makes the kind appear in snapshots and tables, in the order of these
// calls, although nothing has been recorded of it yet.
func (rec *Recorder) Expect(kind string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.kindLocked(kind)
}

// Failed returns how many exchanges have failed, of all kinds.
func (rec *Recorder) Failed() int {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	failed := 0
	for _, k := range rec.kinds {
		failed += k.failed
	}
	return failed
}

func (rec *Recorder) kindLocked(name string) *kindRecord {
	if k := rec.byName[name]; k != nil {
		return k
	}
	if rec.byName == nil {
		rec.byName = make(map[string]*kindRecord)
		rec.generations = make(map[int]int)
	}
	k := &kindRecord{name: name, latencies: make(latencies), served: make(map[process]int)}
	rec.byName[name] = k
	rec.kinds = append(rec.kinds, k)
	return k
}

func (k *kindRecord) fail(err error) {
	k.failed++
	if len(k.errors) < keptErrors {
		k.errors = append(k.errors, err.Error())
	}
}

// servedBy returns how many exchanges each generation has answered. Answers
// without one count for the generation that other kinds have learned of the
// same process, and else for 0.
func (k *kindRecord) servedBy(generations map[int]int) map[int]int {
	served := make(map[int]int)
	for p, n := range k.served {
		if p.generation == 0 {
			p.generation = generations[p.pid]
		}
		served[p.generation] += n
	}
	return served
}

func (k *kindRecord) stats(generations map[int]int) Stats {
	s := Stats{
		Kind:        k.name,
		Requests:    k.requests,
		Failed:      k.failed,
		Connections: k.dialed,
		Reconnects:  k.reconnects,
		Served:      k.servedBy(generations),
		Errors:      append([]string(nil), k.errors...),
	}
	s.P50, s.P99, s.Max = k.latencies.summary()
	return s
}

// Snapshot returns what has been recorded so far. It is cheap enough for a
// progress line every second.
func (rec *Recorder) Snapshot() Snapshot {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	snap := Snapshot{Total: Stats{Kind: "total", Served: make(map[int]int)}}
	all := make(latencies)
	for _, k := range rec.kinds {
		s := k.stats(rec.generations)
		snap.Kinds = append(snap.Kinds, s)
		snap.Total.add(s)
		all.merge(k.latencies)
	}
	snap.Total.P50, snap.Total.P99, snap.Total.Max = all.summary()
	return snap
}

// Stats is the record of one kind, or of all.
type Stats struct {
	Kind        string
	Requests    int         // exchanges that ended, well or not
	Failed      int         // those of them that failed
	Connections int         // connections opened
	Reconnects  int         // those of them that were planned reconnects
	Served      map[int]int // successful exchanges by generation, 0 if unknown
	Errors      []string    // the first few error texts, of one kind only

	// P50, P99 and Max are of the successful exchanges, to the microsecond:
	// P50 is the least time within which half of them had ended.
	P50, P99, Max time.Duration
}

// add adds the counts of o, but not its latencies, which do not add up.
func (s *Stats) add(o Stats) {
	s.Requests += o.Requests
	s.Failed += o.Failed
	s.Connections += o.Connections
	s.Reconnects += o.Reconnects
	for generation, n := range o.Served {
		s.Served[generation] += n
	}
}

// Snapshot is the state of a [Recorder] at one moment.
type Snapshot struct {
	// Kinds are in the order in which the recorder first heard of them.
	Kinds []Stats

	// Total is the sum of all kinds.
	Total Stats
}

// Kind returns the stats of one kind, which are all zero if the recorder does
// not know it.
func (s Snapshot) Kind(name string) Stats {
	for _, k := range s.Kinds {
		if k.Kind == name {
			return k
		}
	}
	return Stats{Kind: name}
}
