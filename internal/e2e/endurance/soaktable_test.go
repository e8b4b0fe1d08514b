package endurance

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

// soakFigures is what a generation holds when it is idle and alone.
type soakFigures struct {
	daemontest.Usage
	threads int
	rss     int // in KiB
}

// A generation may hold as many descriptors and goroutines as the first that was measured.
// Threads and memory are the runtime's, and the race detector's, which are not the same
// in every process: they get several times the room by which they have been seen to differ.
const (
	soakMoreThreads = 6
	soakMoreRSS     = 8 << 10 // KiB
)

// flat reports whether a generation holds no more than the first one did.
func (f soakFigures) flat(first soakFigures) bool {
	return f.Within(first.Usage) && f.threads <= first.threads+soakMoreThreads && f.rss <= first.rss+soakMoreRSS
}

// soakTally is what has happened.
type soakTally struct {
	upgrades int
	longest  time.Duration
	counts   map[string]soakCount // of what else was done, and of what failed as it should
	figures  []soakFigures
	notes    []string // of what was done last, and when
}

// soakCount is how often something was done, and how long it took at most.
type soakCount struct {
	times   int
	longest time.Duration
}

func (c *soakTally) count(what string, times int, took time.Duration) {
	before := c.counts[what]
	c.counts[what] = soakCount{before.times + times, max(before.longest, took)}
}

// soakNotes is how many deeds are told when the soak fails.
const soakNotes = 30

func (s *soak) note(format string, args ...any) {
	line := time.Now().Format(time.TimeOnly+".000 ") + fmt.Sprintf(format, args...)
	s.tally.notes = append(s.tally.notes, line)
	s.tally.notes = s.tally.notes[max(0, len(s.tally.notes)-soakNotes):]
}

// measure returns what the serving generation holds, which is not more than the first one
// that was measured. Goroutines of its beginning may be about to end.
func (s *soak) measure() soakFigures {
	s.t.Helper()
	pid := s.state().PID
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var now soakFigures
		now.Descriptors = daemontest.Descriptors(s.t, pid) // before the question, which is a connection
		now.Goroutines = s.goroutines()
		now.threads, now.rss = s.status(pid, "Threads:"), s.status(pid, "VmRSS:")
		first := append(s.tally.figures, now)[0]
		if now.flat(first) {
			return now
		}
		if time.Now().After(deadline) {
			s.t.Errorf("an idle generation holds %v, the first held %v", now, first)
			return now
		}
	}
}

// goroutines asks the serving generation.
func (s *soak) goroutines() int {
	s.t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(string(loadtest.Get(s.t, daemontest.Target(s.t, s.d, "web"), "/goroutines"))))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// status returns a number that the kernel knows of a process.
func (s *soak) status(pid int, name string) int {
	s.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "\n"+name)
	n, err := strconv.Atoi(append(strings.Fields(rest), "")[0])
	if err != nil {
		s.t.Fatalf("%s of pid %d: %v", name, pid, err)
	}
	return n
}

// report logs what has happened, and if something was wrong, what was done last.
func (s *soak) report() {
	s.t.Helper()
	s.t.Logf("%v\n%s%s", time.Since(s.began).Round(time.Second), s.tally.table(), stormTable(s.rec.Snapshot()))
	loadtest.WantNoneFailed(s.t, s.rec)
	if s.t.Failed() {
		s.t.Logf("what was done last:\n%s", strings.Join(s.tally.notes, "\n"))
	}
}

func (c *soakTally) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "what\ttimes\tat most\t")
	fmt.Fprintf(w, "upgrade\t%d\t%v\t\n", c.upgrades, c.longest.Round(time.Millisecond))
	for _, what := range slices.Sorted(maps.Keys(c.counts)) {
		fmt.Fprintf(w, "%s\t%d\t%v\t\n", what, c.counts[what].times, c.counts[what].longest.Round(time.Millisecond))
	}
	_ = w.Flush()
	if n := len(c.figures); n > 0 {
		fmt.Fprintf(&b, "idle at first %v\nidle at last  %v\n", c.figures[0], c.figures[n-1])
	}
	return b.String()
}

// String implements fmt.Stringer.
func (f soakFigures) String() string {
	return fmt.Sprintf("RSS %d KiB, %d descriptors, %d goroutines, %d threads", f.rss, f.Descriptors, f.Goroutines, f.threads)
}
