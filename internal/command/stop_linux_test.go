package command

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

func TestMain(m *testing.M) {
	reexec.Main(m, map[string]func(){"refusing": reexec.OrFail(refusing)})
}

const (
	pidfileEnv = "GOZD_TEST_PIDFILE"
	patience   = 30 * time.Second
)

// refusing is a daemon that takes whoever has started it for its supervisor, ends by a signal, and refuses to do so on its control socket. A
// stop of it may take an hour, it says.
func refusing() error {
	time.AfterFunc(2*patience, func() { os.Exit(9) }) // when the test itself was killed
	pidfile, self := os.Getenv(pidfileEnv), os.Getpid()
	terms := make(chan os.Signal, 1)
	signal.Notify(terms, syscall.SIGTERM)
	l, err := process.Acquire(pidfile)
	if err != nil {
		return err
	}
	defer l.Leave()
	start, err := process.StartTime(self)
	if err != nil {
		return err
	}
	ln, err := net.Listen("unix", protocol.SocketPath(pidfile, self))
	if err != nil {
		return err
	}
	status := protocol.Status{Generation: 1, Supervisor: os.Getppid(), Generations: []protocol.Generation{{Generation: 1, PID: self, StartTime: start}}}
	go func() {
		_ = http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != protocol.PathStatus {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			_ = json.NewEncoder(w).Encode(status)
		}))
	}()
	if err := process.WritePID(pidfile, self); err != nil {
		return err
	}
	s := process.State{PID: self, StartTime: start, Generation: 1, Control: true, StopWait: process.Duration(time.Hour)}
	if err := process.WriteState(pidfile, &s); err != nil {
		return err
	}
	fmt.Println("ready")
	<-terms
	return process.RemoveFiles(pidfile)
}

// A daemon says which process its supervisor is. One that does not end is not waited for as long as the daemon says that a stop takes, by whatever way it
// was asked.
func TestStopOfAFalseSupervisor(t *testing.T) {
	t.Parallel()
	pidfile := filepath.Join(shortdir.Make(t), "app.pid")
	cmd := reexec.Command(t, "refusing", pidfileEnv+"="+pidfile)
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	cmd.Args, cmd.Path = []string{"sh", "-c", `"$0" & exec sleep 60`, cmd.Path}, sh
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	if said, err := bufio.NewReader(stdout).ReadString('\n'); said != "ready\n" {
		t.Fatalf("the daemon says %q, %v", said, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = stop(ctx, pidfile)
	if left := (*control.LeftError)(nil); !errors.As(err, &left) || len(left.Processes) != 1 || left.Processes[0].PID != cmd.Process.Pid {
		t.Errorf("stop = %v, want that pid %d is left", err, cmd.Process.Pid)
	}
	if ctx.Err() != nil {
		t.Error("it was waited for until the test's time was over")
	}
}
