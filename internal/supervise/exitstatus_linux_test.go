package supervise_test

import (
	"io"
	"os/exec"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
)

// The status of a process is asked for while another one, here the test, collects it. It is the right one or, on an
// older kernel, none.
func TestExitStatusOfAnothersChild(t *testing.T) {
	for range 300 {
		cmd := exec.Command("sh", "-c", "read line; exit 7")
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w, err := supervise.Watch(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		collected := make(chan struct{})
		go func() {
			_ = cmd.Wait() // it is to fail
			close(collected)
		}()
		_, _ = io.WriteString(stdin, "end\n") // or the test's time is over
		status := w.ExitStatus()
		<-collected
		if status == nil {
			t.Skip("this kernel does not tell")
		}
		if !status.Exited() || status.ExitStatus() != 7 {
			t.Fatalf("status %v, want that of an exit with 7", *status)
		}
	}
}
