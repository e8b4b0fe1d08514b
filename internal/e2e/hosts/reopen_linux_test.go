package hosts

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// TestReopenOnProbation moves the log away while a new generation is on probation: who asks for a new file knows the old
// generation only. Each reopens its own once, and tells the program.
func TestReopenOnProbation(t *testing.T) {
	d := prepare(t, binaries.Logging(t), "app.pid", "app.log", "[gozd]\npidfile PIDFILE\nlog LOG\nprobation 1m\n[web]\nmode http\nlisten 127.0.0.1:0\n")
	start(t, d)
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	probation, upgraded := daemontest.BeginTrial(t, d)
	if err := os.Rename(d.Log, d.Log+".1"); err != nil {
		t.Fatal(err)
	}
	signal(t, s.PID, s.StartTime, syscall.SIGUSR1)
	eventually(t, "both have told the program", func() bool { return reopened(d.LogText(), 1) && reopened(d.LogText(), 2) })
	for _, pid := range []int{s.PID, probation.PID} {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/1", pid)); err != nil || to != d.Log {
			t.Errorf("process %d writes to %s, %v, want %s", pid, to, err, d.Log)
		}
	}
	run(t, binaries.Gozdctl(t), "rollback", d.PIDFile)
	if err := <-upgraded; err == nil || !strings.Contains(err.Error(), "rolled back") {
		t.Errorf("upgrade = %v, want that it was rolled back", err)
	}
	if n := strings.Count(d.LogText(), "reopened generation"); n != 2 {
		t.Errorf("the log has been reopened %d times, want once in each generation", n)
	}
}

func reopened(log string, generation int) bool {
	return strings.Contains(log, fmt.Sprintf("reopened generation %d\n", generation))
}

func signal(t *testing.T, pid int, startTime uint64, sig os.Signal) {
	t.Helper()
	p, err := process.Open(pid, startTime)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Signal(sig); err != nil {
		t.Fatal(err)
	}
}
