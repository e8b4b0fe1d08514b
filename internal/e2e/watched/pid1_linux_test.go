package watched

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// container is a daemon whose first process is PID 1 of a PID namespace.
type container struct {
	*daemon.Daemon
	t    *testing.T
	cmd  *exec.Cmd // unshare, which ends as PID 1 does
	init int       // the PID of PID 1, outside
}

// contain starts the daemon as PID 1.
func contain(t *testing.T, program string) *container {
	t.Helper()
	return containCommand(t, program, nil, "-f", "-v")
}

// containCommand is contain for a program with an environment and arguments of its own, before those of the configuration.
func containCommand(t *testing.T, program string, env []string, args ...string) *container {
	t.Helper()
	if os.Getuid() != 0 {
		require.Missing(t, "a PID namespace needs root")
	}
	unshare := require.Tool(t, "unshare", "package util-linux")
	require.Tool(t, "nsenter", "package util-linux")
	d := newDaemon(t, program)
	daemon.AdoptOrphans() // PID 1 may become one of this process
	cmd := exec.Command(unshare, "--pid", "--fork", "--kill-child", "--mount-proc", d.Binary)
	cmd.Args = append(append(cmd.Args, args...), "-c", d.Conf)
	cmd.Dir, cmd.Env = d.Dir, append(os.Environ(), env...)
	out, err := os.Create(filepath.Join(d.Dir, "output"))
	must(t, err)
	t.Cleanup(func() { _ = out.Close() })
	cmd.Stdout, cmd.Stderr = out, out
	must(t, cmd.Start())
	c := &container{Daemon: d, t: t, cmd: cmd}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // and, by --kill-child, all that is left
		_ = cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(out.Name())
			t.Logf("output:\n%s\nlog:\n%s", text, d.LogText())
		}
	})
	// Its PIDs are those of the namespace: nobody outside can look for them.
	await(t, "serving", func() bool { return c.generation() == 1 })
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
	must(t, err)
	c.init, err = strconv.Atoi(strings.TrimSpace(string(text)))
	must(t, err)
	return c
}

func (c *container) generation() int {
	s, err := process.ReadState(c.PIDFile)
	if err != nil {
		return 0
	}
	return s.Generation
}

// exec runs a command in the container.
func (c *container) exec(args ...string) string {
	c.t.Helper()
	cmd := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(c.init), "-p", "-m"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// get asks the daemon and returns the body; errors are for requests that must not be answered.
func get(d *daemon.Daemon, path string) (string, error) {
	s, err := process.ReadState(d.PIDFile)
	if err != nil {
		return "", err
	}
	_, addr, _ := strings.Cut(s.Listen["web"], " ")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Get("http://" + addr + path)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestPID1Upgrades(t *testing.T) {
	const upgrades = 10
	c := contain(t, "mixed")
	for range upgrades {
		c.exec(binaries.Gozdctl(t), "upgrade", c.PIDFile)
	}
	if n := c.generation(); n != upgrades+1 {
		t.Errorf("generation %d serves, want %d", n, upgrades+1)
	}
	body, err := get(c.Daemon, "/")
	must(t, err)
	if !strings.Contains(body, fmt.Sprintf(`"generation":%d`, upgrades+1)) {
		t.Errorf("answered by %s", body)
	}
	// PID 1 and the last generation are all that there is.
	await(t, "alone with one generation", func() bool { return len(c.processes()) == 2 })
	c.wantStopped(syscall.SIGTERM)
}

// The same for a program with a command line of its own.
func TestOwnCommandLineAsPID1(t *testing.T) {
	c := containCommand(t, "cobra", nil, "serve", "--foreground")
	for range 2 {
		c.exec(binaries.Gozdctl(t), "upgrade", c.PIDFile)
	}
	if body, err := get(c.Daemon, "/"); err != nil || body != "Hello from generation 3\n" {
		t.Errorf("answered by %q, %v", body, err)
	}
	c.wantStopped(syscall.SIGTERM)
}

// processes are the states of the container's processes, without that of the look.
func (c *container) processes() []string {
	c.t.Helper()
	var states []string
	for line := range strings.Lines(c.exec("ps", "-e", "-o", "stat=,args=")) {
		if !strings.Contains(line, "ps -e") {
			states = append(states, strings.TrimSpace(line))
		}
	}
	return states
}

// wantStopped sends a signal from outside, which the daemon must take for a stop.
func (c *container) wantStopped(sig syscall.Signal) {
	c.t.Helper()
	must(c.t, syscall.Kill(c.init, sig))
	if ws := ended(c.t, c.cmd); !ws.Exited() || ws.ExitStatus() != 0 {
		c.t.Errorf("PID 1 has ended with %v, want status 0", ws)
	}
	if _, err := os.Stat(c.PIDFile); !os.IsNotExist(err) {
		c.t.Errorf("the PID file is still there: %v", err)
	}
}

func TestPID1StopsGracefully(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) {
			c := contain(t, "mixed")
			answer := make(chan string, 1)
			begun := make(chan struct{})
			go func() {
				close(begun)
				body, err := get(c.Daemon, "/slow?d=1s")
				answer <- fmt.Sprint(body, err)
			}()
			<-begun
			c.awaitRequest()
			c.wantStopped(sig)
			if text := <-answer; !strings.Contains(text, `"generation":1`) {
				t.Errorf("the request was answered by %q", text)
			}
		})
	}
}

// awaitRequest waits until the daemon has a connection: the client's.
func (c *container) awaitRequest() {
	c.t.Helper()
	s, err := process.ReadState(c.PIDFile)
	must(c.t, err)
	_, addr, _ := strings.Cut(s.Listen["web"], " ")
	await(c.t, "connected", func() bool {
		out, err := exec.Command("ss", "-Htn", "state", "established", "src", addr).Output()
		return err == nil && len(out) > 0
	})
}

func TestPID1ReapsOrphans(t *testing.T) {
	c := contain(t, "watched")
	if body, err := get(c.Daemon, "/orphans?n=100"); err != nil || body != "" {
		t.Fatalf("orphans: %s, %v", body, err)
	}
	await(t, "without orphans", func() bool { return len(c.processes()) == 2 })
	c.wantStopped(syscall.SIGTERM)
}

// A HUP by "docker kill -s HUP" goes to PID 1, and so does a USR1.
func TestPID1PassesSignalsOn(t *testing.T) {
	c := contain(t, "mixed")
	for n := 2; n <= 4; n++ {
		must(t, syscall.Kill(c.init, syscall.SIGHUP))
		await(t, "upgraded", func() bool { return c.generation() == n })
	}
	must(t, os.Rename(c.Log, c.Log+".1"))
	must(t, syscall.Kill(c.init, syscall.SIGUSR1))
	await(t, "reopened", func() bool { _, err := os.Stat(c.Log); return err == nil })
	must(t, syscall.Kill(c.init, syscall.SIGWINCH))
	c.wantStopped(syscall.SIGTERM)
}

func TestPID1EndsAsTheLastGeneration(t *testing.T) {
	c := contain(t, "watched")
	c.exec(binaries.Gozdctl(t), "upgrade", c.PIDFile)
	if _, err := get(c.Daemon, "/exit?status=7"); err == nil {
		t.Error("it has answered")
	}
	if ws := ended(t, c.cmd); ws.ExitStatus() != 7 {
		t.Errorf("PID 1 has ended with status %d, want 7", ws.ExitStatus())
	}
}

// PID 1 goes on while there is a generation that serves again.
func TestPID1OfOneThatServesAgain(t *testing.T) {
	c := contain(t, "watched")
	done := keepBusy(t, c.Daemon)
	for round := range 2 {
		c.exec(binaries.Gozdctl(t), "upgrade", "--no-wait-drain", c.PIDFile)
		s, err := process.ReadState(c.PIDFile)
		must(t, err)
		if s.Generation != 2+round {
			t.Errorf("generation %d serves after the upgrade, want %d", s.Generation, 2+round)
		}
		c.exec("kill", "-KILL", strconv.Itoa(s.PID))
		await(t, "generation 1 serves again", func() bool { return c.generation() == 1 })
		if body, err := get(c.Daemon, "/"); err != nil || body != "1\n" {
			t.Errorf("answered by %q, %v", body, err)
		}
	}
	await(t, "alone with one generation", func() bool { return len(c.processes()) == 2 })
	done()
	c.wantStopped(syscall.SIGTERM)
}

// What has asked the kernel to be told of its parent's end still is after the supervisor has begun.
func TestPID1EndsWithItsParent(t *testing.T) {
	c := contain(t, "mixed")
	must(t, c.cmd.Process.Kill())
	_ = ended(t, c.cmd)
	await(t, "gone", func() bool { daemon.ReapProcess(c.init); return state(c.init) == "" })
}
