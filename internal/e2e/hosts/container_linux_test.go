package hosts

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// TestSignalsByRootOfAContainer signals a daemon that has become another user, as root without CAP_SYS_PTRACE, as container engines leave it. That root
// cannot see who has the daemon's lock.
func TestSignalsByRootOfAContainer(t *testing.T) {
	require.Root(t)
	setpriv := require.Tool(t, "setpriv", "package util-linux")
	d := prepare(t, binaries.Mixed(t), "run/app.pid", "app.log",
		"[gozd]\npidfile PIDFILE\nlog LOG\nuser nobody\n[web]\nmode http\nlisten 127.0.0.1:0\n")
	start(t, d)
	sockets, err := filepath.Glob(d.PIDFile + "*.sock")
	if err != nil || len(sockets) != 1 {
		t.Fatalf("the control sockets are %v, %v", sockets, err)
	}
	require.NoError(t, os.Remove(sockets[0])) // or a stop would be asked for there
	for _, action := range []string{"reopen", "stop"} {
		cmd := d.Command(t.Context(), "-s", action)
		asked := exec.CommandContext(t.Context(), setpriv, append([]string{"--bounding-set=-sys_ptrace"}, cmd.Args...)...)
		asked.Dir = d.Dir
		if output, err := asked.CombinedOutput(); err != nil {
			t.Errorf("-s %s: %v: %s", action, err, output)
		}
	}
	wantEmpty(t, filepath.Dir(d.PIDFile))
}
