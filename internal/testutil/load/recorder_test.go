package load_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

func reply(generation int, took time.Duration) load.Reply {
	return load.Reply{Generation: generation, PID: 1000 + generation, Took: took}
}

func TestRecorderPercentilesAreExact(t *testing.T) {
	tests := []struct {
		times         []int // in milliseconds
		p50, p99, max int
	}{
		{nil, 0, 0, 0},
		{[]int{7}, 7, 7, 7},
		{[]int{3, 1}, 1, 3, 3},
		{[]int{3, 1, 2}, 2, 3, 3},
		{upTo(100), 50, 99, 100},
		{upTo(101), 51, 100, 101},
		{upTo(1000), 500, 990, 1000},
		{append(upTo(200), 9, 9, 9, 9), 98, 198, 200},
	}
	for _, tt := range tests {
		var rec load.Recorder
		for _, ms := range tt.times {
			rec.Record("k", reply(1, time.Duration(ms)*time.Millisecond), nil)
		}
		for _, s := range []load.Stats{rec.Snapshot().Kind("k"), rec.Snapshot().Total} {
			got := [...]time.Duration{s.P50, s.P99, s.Max}
			want := [...]time.Duration{ms(tt.p50), ms(tt.p99), ms(tt.max)}
			if got != want {
				t.Errorf("%s of %d times: p50, p99, max = %v, want %v", s.Kind, len(tt.times), got, want)
			}
		}
	}
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func upTo(n int) (times []int) {
	for i := range n {
		times = append(times, n-i)
	}
	return times
}

func TestRecorderCountsByKind(t *testing.T) {
	var rec load.Recorder
	dialed, again := reply(2, ms(1)), reply(2, ms(1))
	dialed.Dialed = true
	again.Dialed, again.Reconnected = true, true
	rec.Record("a", dialed, nil)
	rec.Record("a", again, nil)
	rec.Record("a", reply(3, ms(1)), nil)
	for i := range 7 {
		rec.Record("b", load.Reply{}, fmt.Errorf("failure %d", i+1))
	}

	a, b := rec.Snapshot().Kind("a"), rec.Snapshot().Kind("b")
	if a.Requests != 3 || a.Failed != 0 || a.Connections != 2 || a.Reconnects != 1 {
		t.Errorf("a = %+v", a)
	}
	if want := map[int]int{2: 2, 3: 1}; !maps.Equal(a.Served, want) {
		t.Errorf("a was served by %v, want %v", a.Served, want)
	}
	if b.Requests != 7 || b.Failed != 7 || len(b.Served) != 0 || b.Max != 0 {
		t.Errorf("b = %+v, want 7 failures, which count as nothing else", b)
	}
	if got, want := strings.Join(b.Errors, ","), "failure 1,failure 2,failure 3,failure 4,failure 5"; got != want {
		t.Errorf("b's errors = %s, want %s", got, want)
	}
	total := rec.Snapshot().Total
	if total.Requests != 10 || total.Failed != 7 || rec.Failed() != 7 || total.Served[2] != 2 {
		t.Errorf("total = %+v", total)
	}
	if c := rec.Snapshot().Kind("c"); c.Requests != 0 || c.Kind != "c" {
		t.Errorf("a kind that nobody recorded = %+v", c)
	}
}

func TestRecorderLearnsGenerationOfProcess(t *testing.T) {
	var rec load.Recorder
	line := load.Reply{PID: 1004}
	rec.Record("lines", line, nil)
	if got := rec.Snapshot().Kind("lines").Served; got[0] != 1 {
		t.Errorf("served by %v, want by an unknown generation", got)
	}
	rec.Record("get", reply(4, ms(1)), nil)
	rec.Record("lines", line, nil)
	if got := rec.Snapshot().Kind("lines").Served; got[4] != 2 || len(got) != 1 {
		t.Errorf("served by %v, want all by generation 4", got)
	}
}

func TestRecorderIsConcurrencySafe(t *testing.T) {
	var rec load.Recorder
	var done sync.WaitGroup
	for i := range 8 {
		done.Go(func() {
			for n := range 500 {
				rec.Record(fmt.Sprint("kind ", i%3), reply(i, time.Duration(n)), nil)
				if n%100 == 0 {
					rec.Snapshot()
				}
			}
		})
	}
	done.Wait()
	if got := rec.Snapshot().Total.Requests; got != 4000 {
		t.Errorf("%d requests, want 4000", got)
	}
}

const wantTable = `       kind  requests  failed     p50     p99     max  conns  reconns  served by generation
  keepalive       592       0  1.23ms  45.7ms  2.346s      2        1  1:312 2:280
      lines         1       0    90µs    90µs    90µs      0        0  ?:1
        get         2       2       -       -       -      0        0  -
      total       595       2  1.23ms  45.7ms  2.346s      2        1  1:312 2:280 ?:1

get: the first 2 of 2 failures
  get: connect: refused
  get: read response: EOF after 0 bytes
`

func goldenRecorder() *load.Recorder {
	rec := new(load.Recorder)
	rec.Expect("keepalive")
	rec.Record("lines", load.Reply{PID: 1, Took: 90 * time.Microsecond}, nil)
	for i := range 592 {
		r := reply(1, 1234567*time.Nanosecond)
		if i >= 312 {
			r.Generation = 2
		}
		if i >= 570 {
			r.Took = 45678 * time.Microsecond
		}
		if i == 591 {
			r.Took = 2345678 * time.Microsecond
		}
		r.Dialed, r.Reconnected = i == 0 || i == 312, i == 312
		rec.Record("keepalive", r, nil)
	}
	rec.Record("get", load.Reply{}, errors.New("get: connect: refused"))
	rec.Record("get", load.Reply{}, errors.New("get: read response: EOF after 0 bytes"))
	return rec
}

func TestTable(t *testing.T) {
	var out strings.Builder
	if err := goldenRecorder().WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	if out.String() != wantTable {
		t.Errorf("the table is\n%s\nwant\n%s", out.String(), wantTable)
	}
}

func TestProgressLine(t *testing.T) {
	want := "595 requests, 2 failed, p99 45.7ms, served 1:312 2:280 ?:1"
	if got := goldenRecorder().Snapshot().String(); got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}

// fullDisk fails every write.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestTableReportsWriteError(t *testing.T) {
	if err := goldenRecorder().WriteTable(fullDisk{}); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("WriteTable = %v, want the writer's error", err)
	}
}
