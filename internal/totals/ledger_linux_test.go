package totals

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// openAgain is the ledger of another generation, whose descriptor is of the same file.
func openAgain(t *testing.T, l *Ledger) *Ledger {
	t.Helper()
	fd, err := unix.FcntlInt(l.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	other := OpenLedger(os.NewFile(uintptr(fd), "ledger"))
	t.Cleanup(func() { _ = other.File().Close() })
	return other
}

func newLedger(t *testing.T) *Ledger {
	t.Helper()
	l := OpenLedger(nil)
	t.Cleanup(func() { _ = l.File().Close() })
	return l
}

func counted(n int) string {
	return fmt.Sprintf("# TYPE a_total counter\na_total %d\n# TYPE b gauge\nb %d\n", n, n)
}

// TestLedger has generations leave their counts at the same time, and once only each.
func TestLedger(t *testing.T) {
	first := newLedger(t)
	if ended, sum := first.Ended(); len(ended) != 0 || sum != "" {
		t.Errorf("at first %v, %q", ended, sum)
	}
	var leaving sync.WaitGroup
	for generation := 1; generation <= 20; generation++ {
		l := openAgain(t, first)
		leaving.Go(func() {
			if err := l.Leave(Process{generation, 1}, counted(generation)); err != nil {
				t.Error(err)
			}
		})
	}
	leaving.Wait()
	if err := first.Leave(Process{7, 1}, counted(1000)); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*Ledger{first, openAgain(t, first), first} {
		ended, sum := l.Ended()
		if len(ended) != 20 || !ended[Process{20, 1}] || ended[Process{20, 2}] || sum != "# TYPE a_total counter\na_total 210\n" {
			t.Errorf("%v, %q", ended, sum)
		}
	}
}

// TestLedgerOfNonsense: any process of the daemon's user can write to it.
func TestLedgerOfNonsense(t *testing.T) {
	good := newLedger(t)
	if err := good.Leave(Process{1, 1}, counted(1)); err != nil {
		t.Fatal(err)
	}
	record := make([]byte, 4<<10)
	n, _ := good.File().ReadAt(record, 0)
	record = record[:n]
	nonsense := []byte{0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1} // of process 9
	for name, tt := range map[string]struct {
		bytes []byte
		sum   int // of the record that follows
	}{
		"half a head": {record[:5], 0},
		"too long":    {slices.Concat(nonsense, []byte{0xff, 0xff, 0xff, 0xff}), 0},
		"no gzip":     {slices.Concat(nonsense, []byte{0, 0, 0, 1, 'x'}), 1},
		"empty":       {slices.Concat(nonsense, []byte{0, 0, 0, 0}), 1},
		"twice":       {bytes.Repeat(record, 2), 1},
	} {
		l := newLedger(t)
		if _, err := l.File().Write(append(bytes.Clone(tt.bytes), record...)); err != nil {
			t.Fatal(err)
		}
		ended, sum := l.Ended()
		if want := strings.Contains(sum, "a_total 1\n"); want != (tt.sum == 1) || ended[Process{1, 1}] != want || ended[Process{9, 1}] {
			t.Errorf("%s: %v, %q", name, ended, sum)
		}
	}
	if _, err := good.File().Write(record[:n-1]); err != nil { // whoever writes it may go on
		t.Fatal(err)
	}
	if ended, sum := good.Ended(); len(ended) != 1 || !strings.Contains(sum, "a_total 1\n") {
		t.Errorf("before half a record: %v, %q", ended, sum)
	}
	random := make([]byte, 2<<20)
	_, _ = rand.Read(random)
	if err := good.Leave(Process{2, 1}, fmt.Sprintf("# TYPE a_total counter\na_total{x=\"%x\"} 1\n", random)); err == nil || !strings.Contains(err.Error(), "at most 1048576 are kept") {
		t.Errorf("of what is too large: %v", err)
	}
}
