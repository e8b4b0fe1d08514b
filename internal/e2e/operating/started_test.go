package operating

import (
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// A start in the background says where everything is to whoever looks, and nothing to a script.
func TestStartSaysWhereEverythingIs(t *testing.T) {
	daemon.AdoptOrphans()
	for _, log := range []bool{true, false} {
		d := daemontest.PrepareBare(t, daemontest.OnlyWeb, nil)
		want := []string{"started, pid ", "PID file " + d.PIDFile, "output goes nowhere"}
		if log {
			if err := d.Configure(daemontest.OnlyWeb); err != nil {
				t.Fatal(err)
			}
			want[2] = "output goes to " + d.Log
		}
		output, err := d.Command(t.Context()).CombinedOutput() // with -v
		for _, text := range want {
			if err != nil || !strings.Contains(string(output), text) {
				t.Errorf("with a log %t: %v: %q, want %q", log, err, output, text)
			}
		}
		if err := d.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		cmd := d.Command(t.Context())
		cmd.Args = append(cmd.Args[:1], "-c", d.Conf)
		if output, err := cmd.CombinedOutput(); err != nil || len(output) > 0 {
			t.Errorf("with a log %t, into a pipe: %v: %q", log, err, output)
		}
	}
}
