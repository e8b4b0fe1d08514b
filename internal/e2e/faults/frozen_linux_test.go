package faults

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// TestFrozenDuringAProbation has both generations stand still, as in a container that is paused, until the time of the upgrade is over by the clock. Neither
// has had it: the upgrade goes on.
func TestFrozenDuringAProbation(t *testing.T) {
	t.Parallel() // it waits most of its time
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\nstop_timeout 1s\n", "probation 8s", "upgrade_timeout 1s")
	first, err := d.State()
	require.NoError(t, err)
	probation, outcome := daemontest.BeginTrial(t, d)
	both := []int{first.PID, probation.PID}
	t.Cleanup(func() { _ = goOn(both) })
	time.Sleep(7 * time.Second) // until it has been asked why it is not ready: from now on it is killed when the time is over
	for _, pid := range both {
		require.NoError(t, daemon.Freeze(pid))
	}
	time.Sleep(15 * time.Second) // is what is tested: until 5 s after the end of timeout, probation, and a verdict of 7 s
	require.NoError(t, goOn(both))
	require.NoError(t, <-outcome)
	if s, err := d.State(); err != nil || s.PID != probation.PID {
		t.Errorf("the state is %+v, %v, want pid %d", s, err, probation.PID)
	}
	daemontest.Upgrade(t, d)
}

func goOn(pids []int) (err error) {
	for _, pid := range pids {
		err = errors.Join(err, syscall.Kill(pid, syscall.SIGCONT))
	}
	return err
}
