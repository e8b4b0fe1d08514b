package hosts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

const secureAsUser = `
[gozd]
pidfile  PIDFILE
log      LOG
user     nobody
group    54322

[secure]
mode    https
listen  127.0.0.1:0
key     key.pem
cert    cert.pem
`

// TestKeyOfRoot: root has read the key at the start, and the user that the daemon has become cannot. That is said, and clients are served as
// before; a key that the user's group can read is taken.
func TestKeyOfRoot(t *testing.T) {
	require.Root(t)
	d := prepare(t, binaries.Mixed(t), "run/app.pid", "log/app.log", secureAsUser)
	start(t, d)
	key, cert := filepath.Join(d.Dir, "key.pem"), filepath.Join(d.Dir, "cert.pem")
	daemontest.AwaitLog(t, d, "upgrades will fail")
	l := clients(t, daemontest.Target(t, d, "secure"))
	require.NoError(t, daemon.WriteKeyPair(d.Dir))
	require.NoError(t, os.Chmod(cert, 0o644))
	_, err := d.ReloadCerts(t.Context())
	want := fmt.Sprintf("app.conf:8: [secure]: cert %s and key %s: open %[2]s: permission denied (this process runs as user %[3]d)", cert, key, nobody(t).UID)
	if failed := new(client.AnswerError); !errors.As(err, &failed) || !strings.Contains(failed.Error(), want) {
		t.Errorf("reload-certs: %v\nwant %s", err, want)
	}
	daemontest.AwaitLog(t, d, "permission denied (this process runs as user")

	require.NoError(t, os.Chown(key, 0, 54322))
	require.NoError(t, os.Chmod(key, 0o640))
	answer, err := d.ReloadCerts(t.Context())
	if err != nil || len(answer.Renewed) != 1 {
		t.Errorf("reload-certs of a key that the group can read: %+v, %v", answer, err)
	}
	daemontest.Upgrade(t, d)
	awaitServed(t, l, 2)
	endLoad(t, l)
}
