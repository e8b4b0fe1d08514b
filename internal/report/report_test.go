package report_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
)

// notify returns what a reader learns from a process that says this.
func notify(t *testing.T, say func(w *report.Writer)) report.Outcome {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go say(report.NewWriter(w))
	return report.Read(r)
}

func TestWriterToRead(t *testing.T) {
	pid := os.Getpid()
	tests := []struct {
		name string
		say  func(w *report.Writer)
		want report.Outcome
	}{
		{
			"on probation, and failed",
			func(w *report.Writer) { w.Probation(time.Second); w.Fail("probation", errors.New("no database")) },
			report.Outcome{PID: pid, Probation: true, Stage: "probation", Error: "no database"},
		},
		{
			"on probation, and ready",
			func(w *report.Writer) { w.Probation(time.Second); w.Ready(nil); w.Probation(time.Second) },
			report.Outcome{PID: pid, Probation: true, Ready: true, Kept: []string{}},
		},
		{
			"ready with sockets",
			func(w *report.Writer) { w.Ready([]string{"1.1", "2.7"}) },
			report.Outcome{PID: pid, Ready: true, Kept: []string{"1.1", "2.7"}},
		},
		{"ready", func(w *report.Writer) { w.Ready(nil) }, report.Outcome{PID: pid, Ready: true, Kept: []string{}}},
		{
			"failure",
			func(w *report.Writer) { w.Fail("listen", errors.New("address in use")) },
			report.Outcome{PID: pid, Stage: "listen", Error: "address in use"},
		},
		{
			"failure of several lines",
			func(w *report.Writer) { w.Fail("configuration", errors.New("{\"pid\":1}\nb \x01 ü")) },
			report.Outcome{PID: pid, Stage: "configuration", Error: "{\"pid\":1}\nb \x01 ü"},
		},
		{
			"only the first word counts",
			func(w *report.Writer) { w.Ready(nil); w.Fail("ready", errors.New("too late")); w.Ready(nil) },
			report.Outcome{PID: pid, Ready: true, Kept: []string{}},
		},
		{
			"huge failure is cut",
			func(w *report.Writer) { w.Fail("configuration", errors.New(strings.Repeat("\x01", 4<<20))) },
			report.Outcome{PID: pid, Stage: "configuration", Error: strings.Repeat("\x01", 64<<10)},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := notify(t, test.say); !reflect.DeepEqual(got, test.want) {
				t.Errorf("Read = %.200v, want %.200v", got, test.want)
			}
		})
	}
}

func TestNilWriterSaysNothing(*testing.T) {
	var w *report.Writer
	w.Ready(nil)
	w.Fail("start", errors.New("nobody listens"))
}

func TestReaderIsGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	report.NewWriter(w).Ready(nil) // must neither fail nor block
}

func TestWriterIsSafeForConcurrentUse(t *testing.T) {
	out := notify(t, func(w *report.Writer) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { w.Ready(nil) })
			wg.Go(func() { w.Fail("ready", errors.New("late")) })
		}
		wg.Wait()
	})
	if out.Ready == (out.Error != "") {
		t.Errorf("Read = %+v, want either ready or an error", out)
	}
}

func TestRead(t *testing.T) {
	tests := []struct {
		name, said string
		want       report.Outcome
	}{
		{"nothing", "", report.Outcome{}},
		{"garbage", "ls: not found\n", report.Outcome{}},
		{"no end of line", "ls: not found", report.Outcome{}},
		{"empty lines first", "\n\n  x  \n", report.Outcome{}},
		{"broken message", "{\"pid\":\n", report.Outcome{}},
		{"wrong type", "{\"pid\":\"7\"}\n", report.Outcome{}},
		{"negative pid", "{\"pid\":-7}\n", report.Outcome{}},
		{"unknown fields are for later versions", "{\"pid\":7,\"colour\":\"red\"}\n", report.Outcome{PID: 7}},
		{"message without end of line", `{"ready":true}`, report.Outcome{Ready: true}},
		{"garbage between messages", "{\"pid\":7}\nwarning\n{\"ready\":true}\n", report.Outcome{PID: 7, Ready: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := report.Read(strings.NewReader(test.said)); !reflect.DeepEqual(got, test.want) {
				t.Errorf("Read(%q) = %+v, want %+v", test.said, got, test.want)
			}
		})
	}
}

// endless is a process that talks too much. When it ends it looks how much of
// that is still in memory.
type endless struct {
	text string
	left int
	live uint64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		e.live = liveHeap()
		return 0, io.EOF
	}
	n := copy(p, e.text)
	e.left -= n
	return n, nil
}

func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestReadKeepsLittle(t *testing.T) {
	tests := []struct{ name, text string }{
		{"one line", strings.Repeat("x", 4<<10)},
		{"message that never ends", strings.Repeat("{", 4<<10)},
		{"many lines", strings.Repeat("line\n", 800)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := liveHeap()
			r := &endless{text: test.text, left: 8 << 20}
			out := report.Read(r)
			if len(out.Error) > 16<<10 {
				t.Errorf("error of %d bytes", len(out.Error))
			}
			if r.live > before+2<<20 {
				t.Errorf("%d bytes of 8 MiB are kept", r.live-before)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("{\"pid\":7}\n{\"ready\":true}\n"))
	f.Add([]byte("{\"stage\":\"listen\",\"error\":\"e\"}\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		out := report.Read(bytes.NewReader(said))
		if out.PID < 0 {
			t.Errorf("PID %d", out.PID)
		}
		if out.Stage != "" && out.Error == "" {
			t.Errorf("stage %q without an error", out.Stage)
		}
		if len(out.Error) > len(said) {
			t.Errorf("an error of %d bytes from %d", len(out.Error), len(said))
		}
	})
}

func TestFollowTellsOfTheProbation(t *testing.T) {
	said := "{\"pid\":7}\n{\"probation_ns\":5000000000}\n{\"ready\":true}\n"
	calls := 0
	out := report.Follow(strings.NewReader(said), report.Watcher{Probation: func(pid int, d time.Duration) {
		calls++
		if pid != 7 || d != 5*time.Second {
			t.Errorf("probation of pid %d for %v, want 7, 5s", pid, d)
		}
	}})
	if calls != 1 || !out.Ready || !out.Probation {
		t.Errorf("%d calls, outcome %+v", calls, out)
	}
}

func TestFollowTellsOnceThatItRuns(t *testing.T) {
	said := "{\"pid\":7}\n{\"pid\":8}\n{\"probation_ns\":5000000000}\n{\"ready\":true}\n"
	var pids []int
	report.Follow(strings.NewReader(said), report.Watcher{Started: func(pid int) { pids = append(pids, pid) }})
	if len(pids) != 1 || pids[0] != 7 {
		t.Errorf("it started as %v, want 7, once", pids)
	}
}
