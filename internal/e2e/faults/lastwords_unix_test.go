//go:build unix

package faults

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// fatal are the programs that end with it.
var fatal = []string{"fatal early", "fatal"}

// TestLastWordsOfASuccessor has whoever asks for an upgrade read why the program has ended, and so does the log, once.
func TestLastWordsOfASuccessor(t *testing.T) {
	d := daemontest.Start(t, daemontest.OnlyWeb)
	for i, fault := range fatal {
		daemontest.Fault(fault)(t, d)
		out, err := exec.CommandContext(t.Context(), binaries.Gozdctl(t), "upgrade", d.PIDFile).CombinedOutput()
		if err == nil || !strings.Contains(string(out), inUse+"; pid ") {
			t.Errorf("%s: %v, gozdctl says %q, want %q in it", fault, err, out, inUse)
		}
		if n := linesWith(d.LogText(), inUse); n != i+1 {
			t.Errorf("%s: the log has the program's own line %d times, want %d: %s", fault, n, i+1, d.LogText())
		}
	}
}

// linesWith counts a program's own lines with that end.
func linesWith(log, end string) int {
	n := 0
	for line := range strings.SplitSeq(log, "\n") {
		if strings.HasSuffix(line, end) && !strings.HasPrefix(line, "[GOZD") {
			n++
		}
	}
	return n
}

// TestLastWordsOfABackgroundStart has whoever starts a daemon read why the program has ended, with a log, which has it too, and
// without.
func TestLastWordsOfABackgroundStart(t *testing.T) {
	for _, fault := range fatal {
		for _, log := range []string{"log app.log\n", ""} {
			d := daemontest.Prepare(t, binaries.Faulty(t), daemontest.OnlyWeb)
			daemontest.Fault(fault)(t, d)
			if err := os.WriteFile(d.Conf, []byte("[gozd]\npidfile app.pid\n"+log+daemontest.OnlyWeb), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), binaries.Gozdctl(t), "start", "--", d.Binary, "-c", d.Conf).CombinedOutput()
			if err == nil || strings.Count(string(out), inUse) != 1 {
				t.Errorf("%s, %q: %v, gozdctl says %q, want %q in it, once", fault, log, err, out, inUse)
			}
			// What ends before gozd is called has no log yet, and is the process that gozdctl has started itself.
			if n := linesWith(d.LogText(), inUse); log != "" && fault == "fatal" && n != 1 {
				t.Errorf("%s: the log has the program's own line %d times, want once: %s", fault, n, d.LogText())
			}
		}
	}
}
