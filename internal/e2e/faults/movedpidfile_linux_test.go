package faults

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	points "bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// TestStopWhileThePIDFileMoves stops a daemon by the configuration from before an upgrade that moves the PID file, when the old generation has been
// replaced, and its files are still there. It is hurried, and the daemon serves on: nobody may be told that it is stopped.
func TestStopWhileThePIDFileMoves(t *testing.T) {
	t.Parallel()
	d := daemontest.Prepare(t, buildWithFaults(t), "[web]\nmode http\nlisten 127.0.0.1:0\nstop_timeout 300ms\n")
	dir := filepath.Join(d.Dir, "faults")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d.Env = []string{points.Dir + "=" + dir}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(d.Conf)
	if err != nil {
		t.Fatal(err)
	}
	configure := func(text string) {
		t.Helper()
		if err := os.WriteFile(d.Conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stays, err := net.Dial("tcp", daemontest.Target(t, d, "web").Address)
	if err != nil {
		t.Fatal(err)
	}
	defer stays.Close()
	if _, err := io.WriteString(stays, "GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	configure(strings.Replace(string(before), "pidfile app.pid", "pidfile next.pid", 1))
	pid, told := holdUpgrade(t, d, dir, points.TookOver)
	daemontest.AwaitLog(t, d, "msg=upgraded generation=1")
	configure(string(before)) // as the next command has read it
	over := make(chan struct{})
	go func() {
		defer close(over)
		output, err := d.Command(t.Context(), "-s", "stop").CombinedOutput()
		if err == nil || !strings.Contains(string(output), filepath.Join(d.Dir, "next.pid")) {
			t.Errorf("-s stop: %v, %s, want that the PID file is another", err, output)
		}
	}()
	_ = stays.SetReadDeadline(time.Now().Add(cellPatience))
	if _, err := io.Copy(io.Discard, stays); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Fatal("the old generation is not hurried")
	}
	_ = os.Remove(filepath.Join(dir, points.TookOver+"."+strconv.Itoa(pid)))
	<-over
	if err := <-told; err != nil {
		t.Error(err)
	}
	d.PIDFile = filepath.Join(d.Dir, "next.pid")
	if s, err := d.State(); err != nil || s.PID != pid {
		t.Errorf("the state is %+v, %v, want that pid %d serves", s, err, pid)
	}
}
