package upgrade

import (
	"testing"
	"time"
)

// waits goes on until the successor is killed, and returns after how long that is. onTrial is what it says each time, the last one for ever.
func waits(p *patience, onTrial ...bool) (total time.Duration) {
	total = p.opts.timeout()
	for i := 0; ; i++ {
		wait := p.next(onTrial[min(i, len(onTrial)-1)])
		if p.over() {
			return total
		}
		total += wait
	}
}

func TestPatience(t *testing.T) {
	t.Parallel()
	plain := &Options{Timeout: time.Minute}
	tried := &Options{Timeout: time.Minute, Probation: time.Hour, Verdict: 2 * time.Minute}
	for _, tt := range []struct {
		name    string
		opts    *Options
		onTrial []bool
		want    time.Duration
	}{
		{"hangs", plain, []bool{false}, time.Minute + wordsWait},
		{"never begins its probation", tried, []bool{false}, time.Minute + wordsWait},
		{"is on probation", tried, []bool{true}, tried.limit() + wordsWait},
		{"begins it at the last moment", tried, []bool{false, true}, tried.limit() + wordsWait},
	} {
		p := &patience{opts: tt.opts}
		if got := waits(p, tt.onTrial...); got != tt.want {
			t.Errorf("a successor that %s is killed after %v, want %v", tt.name, got, tt.want)
		}
		if p.next(true); !p.over() || p.gaveUp() {
			t.Errorf("a successor that %s lives on", tt.name)
		}
	}
}

// A child that is not found is looked for again, for a while.
func TestPatienceLooksAgain(t *testing.T) {
	t.Parallel()
	p := &patience{opts: &Options{}}
	looked := time.Duration(0)
	for !p.gaveUp() {
		looked += p.next(false)
	}
	if looked < 5*time.Second || looked > 20*time.Second {
		t.Errorf("a child that cannot be found is looked for %v", looked)
	}
}
