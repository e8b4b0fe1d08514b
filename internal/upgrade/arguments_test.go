package upgrade

import (
	"os"
	"slices"
	"testing"
)

// os.Args is what a program has made of it, but while a process is being started.
func TestLendArguments(t *testing.T) {
	before := os.Args
	defer func() { os.Args = before }()
	for _, tt := range []struct {
		name                  string
		set, own, after, lent []string
	}{
		{"nothing is set", nil, []string{"app", "-x"}, []string{"app", "-x"}, []string{"app", "-x"}},
		{"a path", []string{"/bin/app", "-x"}, []string{"app", "-x"}, []string{"/bin/app", "-x"}, []string{"/bin/app", "-x"}},
		{"a changed line", []string{"/bin/app", "-x"}, []string{"app"}, []string{"app"}, []string{"/bin/app", "-x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			os.Args = slices.Clone(tt.own)
			var c commandLine
			if tt.set != nil {
				c.set(tt.set)
			}
			giveBack := c.lend()
			if !slices.Equal(os.Args, tt.lent) || c.binary() != tt.lent[0] {
				t.Errorf("a process is started with %q, from %s, want %q", os.Args, c.binary(), tt.lent)
			}
			for range 2 {
				giveBack()
			}
			if !slices.Equal(os.Args, tt.after) {
				t.Errorf("the program finds %q, want %q", os.Args, tt.after)
			}
		})
	}
}

func TestArgumentsAreGivenBackWhenItRuns(t *testing.T) {
	t.Parallel()
	var steps []string
	w := lends(Watcher{Started: func(int, uint64) { steps = append(steps, "started") }}, func() { steps = append(steps, "given back") })
	w.Started(7, 0)
	lends(Watcher{}, func() { steps = append(steps, "given back") }).Started(7, 0)
	if want := []string{"given back", "started", "given back"}; !slices.Equal(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
}
