package programs

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// TestReopenAsksEachGenerationOnce has six of them live.
func TestReopenAsksEachGenerationOnce(t *testing.T) {
	d := startHooked(t)
	for range 5 {
		dialLine(t, d)
		daemontest.Upgrade(t, d)
	}
	want := []string{"1", "2", "3", "4", "5", "6"}
	for round := 1; round <= 2; round++ {
		daemontest.SignalServing(t, d, syscall.SIGUSR1)
		daemontest.Await(t, "all have been asked", func() bool {
			return len(strings.Fields(notes(t, d, "reopened"))) >= round*len(want)
		})
	}
	daemontest.SignalServing(t, d, syscall.SIGTERM)
	if err := daemontest.WaitAlive(t, d, 0, 30*time.Second); err != nil { // nobody is asked any more
		t.Fatal(err)
	}
	got := strings.Fields(notes(t, d, "reopened"))
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(append(want, want...))); !slices.Equal(got, want) {
		t.Errorf("after two requests OnReopen was called in generations %v, want %v", got, want)
	}
}

// TestStopIsNotLostAmongOtherSignals sends more signals than any queue holds while OnReopen does not return.
func TestStopIsNotLostAmongOtherSignals(t *testing.T) {
	d := startHooked(t)
	release := hold(t, d, "hold-reopen")
	defer release()
	daemontest.SignalServing(t, d, syscall.SIGUSR1)
	awaitNotes(t, d, "reopened", "1\n")
	for range 100 {
		daemontest.SignalServing(t, d, syscall.SIGUSR1)
		time.Sleep(time.Millisecond) // or the kernel takes them for one
	}
	daemontest.SignalServing(t, d, syscall.SIGTERM)
	if err := daemontest.WaitAlive(t, d, 0, 20*time.Second); err != nil {
		t.Error(err)
	}
}

// TestDrainingGenerationForwardsOnce sends to a generation that has been replaced what was meant for the daemon.
func TestDrainingGenerationForwardsOnce(t *testing.T) {
	d := startHooked(t)
	dialLine(t, d)
	old, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	daemontest.Upgrade(t, d)
	dialLine(t, d)
	hup := func() { signalState(t, old, syscall.SIGHUP) }
	generation := func() int {
		s, err := d.State()
		if err != nil {
			t.Fatal(err)
		}
		return s.Generation
	}
	hup()
	daemontest.Await(t, "generation 3", func() bool { return generation() == 3 })
	dialLine(t, d)
	hup() // a terminal that is closed sends it to all of them
	daemontest.Upgrade(t, d)
	if n := generation(); n != 4 {
		t.Errorf("generation %d serves, want 4", n)
	}
	signalState(t, old, syscall.SIGQUIT)
	daemontest.Await(t, "the daemon drains", func() bool {
		return strings.Contains(d.LogText(), fmt.Sprintf(`msg="drain finished" generation=%d `, 4))
	})
}
