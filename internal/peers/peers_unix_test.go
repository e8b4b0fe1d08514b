//go:build unix

package peers_test

import (
	"context"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// A peer is the process that had the PID at that time, and no other.
func TestPeer(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	start, err := process.StartTime(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	p := peers.Peer{Generation: 2, PID: cmd.Process.Pid, StartTime: start}
	stranger := peers.Peer{Generation: 1, PID: p.PID, StartTime: start - 1}
	if !p.IsAlive() || start != 0 && stranger.IsAlive() {
		t.Errorf("alive: %t, the stranger %t", p.IsAlive(), stranger.IsAlive())
	}
	if got := peers.Living([]peers.Peer{stranger, p}); start != 0 && !slices.Equal(got, []peers.Peer{p}) {
		t.Errorf("living are %v", got)
	}
	if start != 0 {
		if err := stranger.Signal(syscall.SIGKILL); err != nil || !p.IsAlive() {
			t.Errorf("a stranger is signalled: %v", err)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if p.AwaitEnd(over) {
		t.Error("it has ended")
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if !p.AwaitEnd(ctx) || p.IsAlive() {
		t.Error("it has not ended")
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Errorf("a signal to one that is gone: %v", err)
	}
}
