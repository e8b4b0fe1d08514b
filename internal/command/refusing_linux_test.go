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
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
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
	reopens := make(chan os.Signal, 1)
	signal.Notify(reopens, syscall.SIGUSR1)
	go func() {
		for range reopens {
			fmt.Println("reopened")
		}
	}()
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

// startRefusing starts that daemon, and whoever has started it, which lives on.
func startRefusing(t *testing.T) (pidfile string, parent *exec.Cmd, says *bufio.Reader) {
	t.Helper()
	sh := require.Tool(t, "sh", "package dash")
	pidfile = filepath.Join(shortdir.Make(t), "app.pid")
	parent = reexec.Command(t, "refusing", pidfileEnv+"="+pidfile)
	parent.Args, parent.Path = []string{"sh", "-c", `"$0" & exec sleep 60`, parent.Path}, sh
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = parent.Process.Kill(), parent.Wait() })
	says = bufio.NewReader(stdout)
	expect(t, says, "ready")
	return pidfile, parent, says
}

func expect(t *testing.T, says *bufio.Reader, want string) {
	t.Helper()
	if said, err := says.ReadString('\n'); said != want+"\n" {
		t.Fatalf("the daemon says %q, %v, want %q", said, err, want)
	}
}

// A daemon that does not answer as it should, such as one of an older version, is asked by a signal.
func TestReopenOfOneThatRefuses(t *testing.T) {
	t.Parallel()
	pidfile, _, says := startRefusing(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := reopen(ctx, pidfile); err != nil {
		t.Error(err)
	}
	expect(t, says, "reopened")
	if _, err := control.Stop(ctx, pidfile); err != nil {
		t.Error(err)
	}
}

// A daemon says which process its supervisor is. One that does not end is not waited for as long as the daemon says that a stop takes, by whatever way it
// was asked.
func TestStopOfAFalseSupervisor(t *testing.T) {
	t.Parallel()
	pidfile, parent, _ := startRefusing(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := stop(ctx, pidfile)
	if left := (*control.LeftError)(nil); !errors.As(err, &left) || len(left.Processes) != 1 || left.Processes[0].PID != parent.Process.Pid {
		t.Errorf("stop = %v, want that pid %d is left", err, parent.Process.Pid)
	}
	if ctx.Err() != nil {
		t.Error("it was waited for until the test's time was over")
	}
}
