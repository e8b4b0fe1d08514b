package operating

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// TestControlRefusesOthers has another user try: the mode keeps him out, and if somebody has
// changed that, the daemon does.
func TestControlRefusesOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		require.Missing(t, "only root can be somebody else")
	}
	curl := require.Tool(t, "curl", "package curl")
	setpriv := require.Tool(t, "setpriv", "package util-linux")
	d := daemontest.Start(t, daemontest.WebAndLine)
	c := dialControl(t, d)
	if err := os.Chmod(filepath.Dir(d.PIDFile), 0o755); err != nil {
		t.Fatal(err)
	}
	asNobody := func(method, path string) string {
		cmd := exec.CommandContext(within(t), setpriv, "--reuid=65534", "--regid=65534", "--clear-groups",
			curl, "-sS", "-X", method, "--write-out", " %{http_code}", "--unix-socket", c.Path(), "http://gozd"+path)
		output, _ := cmd.CombinedOutput()
		return string(output)
	}
	if got := asNobody(http.MethodGet, "/v1/status"); !strings.HasSuffix(got, " 000") {
		t.Errorf("nobody gets in: %s", got)
	}
	if err := os.Chmod(c.Path(), 0o666); err != nil {
		t.Fatal(err)
	}
	for path, method := range map[string]string{"/v1/status": http.MethodGet, "/v1/stop": http.MethodPost, "/metrics": http.MethodGet, "/": http.MethodGet} {
		if got := asNobody(method, path); !strings.HasSuffix(got, " 403") || !strings.Contains(got, `"code":"forbidden"`) ||
			!strings.Contains(got, "uid 65534 is neither the daemon's user (uid 0) nor root") {
			t.Errorf("%s %s: nobody is told %s", method, path, got)
		}
	}
	if s := status(t, d); s.Generation != 1 {
		t.Errorf("status %+v", s)
	}
}

// TestControlWithoutDescriptors asks a daemon whose clients have taken all descriptors.
func TestControlWithoutDescriptors(t *testing.T) {
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n", maxFiles(fewFiles))
	to := daemontest.Target(t, d, "web")
	c := gather(t, 2*fewFiles, func() (load.Client, error) { return load.NewKeepAlive(to, load.KeepAliveOptions{}) })
	control := dialControl(t, d)
	awaitFull(t, control.PID())
	for range 5 {
		if _, err := control.Status(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := control.Upgrade(within(t), client.UpgradeOptions{NoDrain: true}, nil); err != nil {
		t.Error(err)
	}
	if _, err := d.State(); err != nil {
		t.Error(err)
	}
	c.disperse(t)
}
