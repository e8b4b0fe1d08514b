package totals

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// next is the table of another generation, which has a descriptor of its own.
func next(t *testing.T, of *Table) *Table {
	t.Helper()
	if of.File() == nil {
		t.Skip("there is no shared memory on " + runtime.GOOS)
	}
	f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", of.File().Fd()), os.O_RDWR, 0)
	if err != nil {
		t.Skip("needs /proc: ", err)
	}
	other := Open(f)
	t.Cleanup(other.detach)
	return other
}

// TestTotals counts in two generations: both see the sum, and a third one goes on from there.
func TestTotals(t *testing.T) {
	first := Open(nil)
	t.Cleanup(first.detach)
	first.Of("web").Accepted.Add(5)
	second := next(t, first)
	second.Of("web").Accepted.Add(2)
	second.Of("api").Cut.Add(1)
	first.Of("web").Out.Add(3) // it drains
	for _, table := range []*Table{first, second, next(t, second)} {
		web, api := table.Of("web"), table.Of("api")
		if web.Accepted.Load() != 7 || web.Out.Load() != 3 || web.In.Load() != 0 || api.Cut.Load() != 1 || api.Accepted.Load() != 0 {
			t.Errorf("web %d and %d, api %d", web.Accepted.Load(), web.Out.Load(), api.Cut.Load())
		}
	}
}

// TestTotalsWithoutRoom has a group that finds no row count for itself, as all do without such memory.
func TestTotalsWithoutRoom(t *testing.T) {
	full := Open(nil)
	t.Cleanup(full.detach)
	for i := range rows {
		full.Of(fmt.Sprint("group ", i)).Accepted.Add(1)
	}
	for _, table := range []*Table{full, {private: full.private}} {
		for _, name := range []string{"late", strings.Repeat("x", nameSize+1)} {
			before := table.Of(name).Accepted.Add(1)
			if after := table.Of(name).Accepted.Add(1); after != before+1 {
				t.Errorf("%s: %d, then %d", name, before, after)
			}
		}
	}
}

// TestTotalsOfNonsense makes a new table where the previous generation passes on something else.
func TestTotalsOfNonsense(t *testing.T) {
	for name, content := range map[string]string{"short": "x", "empty": "", "other": strings.Repeat("x", size), "long": form + strings.Repeat("\x00", size), "not sealed": form + strings.Repeat("\x01", size-len(form))} {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(content); err != nil {
			t.Fatal(err)
		}
		table := Open(f) // which could become smaller, too
		t.Cleanup(table.detach)
		if n := table.Of("web").Accepted.Add(1); n != 1 {
			t.Errorf("%s: the counter was at %d", name, n-1)
		}
		if err := f.Close(); err == nil {
			t.Errorf("%s: the file is open", name)
		}
	}
}
