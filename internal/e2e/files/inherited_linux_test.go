package files

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// What a shell has open beside the standard streams is no daemon's to keep: whoever waits for the end of such a pipe
// would wait for the daemon's.
func TestPipeOfStarterEnds(t *testing.T) {
	bash := require.Tool(t, "bash", "package bash")
	d := daemontest.Prepare(t, binaries.Mixed(t), daemontest.WebAndLine)
	daemon.AdoptOrphans()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := d.Command(ctx)
	script := `set -o pipefail; bash -c 'exec 4>&1; "$0" "$@"' "$0" "$@" | cat`
	cmd.Path, cmd.Args = bash, append([]string{"bash", "-c", script}, cmd.Args...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the pipeline does not end: %v: %s", err, output)
	}
	if _, err := d.State(); err != nil {
		t.Errorf("and no daemon: %v", err)
	}
}

// A lock that a shell holds on a descriptor is free when the shell is gone.
func TestLockOfStarterIsFreed(t *testing.T) {
	d := daemontest.Prepare(t, binaries.Mixed(t), daemontest.WebAndLine)
	daemon.AdoptOrphans()
	path := filepath.Join(d.Dir, "deploy.lock")
	held := lock(t, path)
	cmd := d.Command(t.Context())
	cmd.ExtraFiles = []*os.File{held, held} // the first has the number that gozd uses itself
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("start: %v: %s", err, output)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	_ = lock(t, path).Close()
	if _, err := d.State(); err != nil {
		t.Error(err)
	}
}

// lock takes the lock of a file, as flock(1) does with -n.
func lock(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Fatal(errors.Join(err, f.Close()))
	}
	return f
}
