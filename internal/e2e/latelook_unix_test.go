//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// TestParentThatLooksLate has a generation become ready and be replaced while its
// parent gets no processor. It must stay until that one has seen that it was ready;
// a parent that finds it gone would take the upgrade for failed and serve on beside
// the third generation.
func TestParentThatLooksLate(t *testing.T) {
	d := start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n")
	first, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	fault("dawdle")(t, d)
	upgraded := make(chan error, 1)
	go func() {
		_, err := d.Upgrade(t.Context())
		upgraded <- err
	}()
	dawdles := filepath.Join(d.Dir, "dawdles")
	await(t, "the new generation's file", func() bool { _, err := os.Stat(dawdles); return err == nil })
	if err := syscall.Kill(first.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(first.PID, syscall.SIGCONT) }()
	_ = os.Remove(dawdles)
	if err := <-upgraded; err != nil {
		t.Fatal(err)
	}
	if err := daemon.Install(programs.mixed2, d.Binary); err != nil {
		t.Fatal(err)
	}
	upgrade(t, d)

	// It has no connections and would be gone at once.
	if waitAlive(t, d, 2, 300*time.Millisecond) == nil {
		t.Error("generation 2 has ended, and its parent does not know yet that it was ready")
	}
	_ = syscall.Kill(first.PID, syscall.SIGCONT)
	if err := waitAlive(t, d, 1, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if s, err := d.State(); err != nil || s.Generation != 3 {
		t.Errorf("the state is %+v, %v, want generation 3", s, err)
	}
	upgrade(t, d)
}
