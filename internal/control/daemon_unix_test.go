//go:build unix

package control_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// The daemon in these tests is this binary, started again: it has a daemon's
// files and does on a signal what its script says.
const (
	pidfileEnv = "GOZD_TEST_PIDFILE"
	scriptEnv  = "GOZD_TEST_SCRIPT" // what it does when it is signalled
	waitEnv    = "GOZD_TEST_WAIT"   // how long a stop may take
	lifetime   = time.Minute        // of a daemon that nobody ends
	patience   = 30 * time.Second
)

func TestMain(m *testing.M) {
	if pidfile := os.Getenv(pidfileEnv); pidfile != "" {
		fakeDaemon(pidfile)
		return
	}
	goleak.VerifyTestMain(m)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// ownState is a state file that names this process.
func ownState() *process.State {
	pid := os.Getpid()
	start, err := process.StartTime(pid)
	must(err)
	wait, err := time.ParseDuration(os.Getenv(waitEnv))
	must(err)
	return &process.State{PID: pid, StartTime: start, Generation: 1, StopWait: process.Duration(wait)}
}

func fakeDaemon(pidfile string) {
	time.AfterFunc(lifetime, func() { os.Exit(9) }) // when the test itself was killed
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGUSR1)
	l, err := process.Acquire(pidfile)
	must(err)
	s := ownState()
	must(process.WritePID(pidfile, s.PID))
	must(process.WriteState(pidfile, s))
	fmt.Println("ready")
	for sig := range signals {
		fmt.Println(sig)
		act(os.Getenv(scriptEnv), pidfile)
	}
	l.Leave() // never reached, but the lock must not be collected before
}

// act plays a daemon's part.
func act(script, pidfile string) {
	switch script {
	case "die":
		os.Exit(3)
	case "end":
		must(process.RemoveFiles(pidfile))
		os.Exit(0)
	}
}

// daemon is a fake daemon as its test sees it.
type daemon struct {
	pidfile string
	pid     int
	says    *bufio.Reader
	end     func() // kills it
}

func start(t *testing.T, script string, wait time.Duration) *daemon {
	t.Helper()
	d := &daemon{pidfile: filepath.Join(t.TempDir(), "app.pid")}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), pidfileEnv+"="+d.pidfile, scriptEnv+"="+script, waitEnv+"="+wait.String(),
		"GORACE=atexit_sleep_ms=0") // the race detector sleeps a second at the end
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stdout.(*os.File).SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.end = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed, or ended by its script
	}
	t.Cleanup(d.end)
	d.pid, d.says = cmd.Process.Pid, bufio.NewReader(stdout)
	d.expect(t, "ready")
	return d
}

func (d *daemon) expect(t *testing.T, want string) {
	t.Helper()
	if got, err := d.says.ReadString('\n'); strings.TrimSpace(got) != want {
		t.Errorf("the daemon says %q, %v, want %q", got, err, want)
	}
}

// rest is what the daemon still says until its end.
func (d *daemon) rest() string {
	text, _ := io.ReadAll(d.says)
	return string(text)
}
