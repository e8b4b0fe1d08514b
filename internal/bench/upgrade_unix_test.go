//go:build unix

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
)

// BenchmarkUpgrade measures from SIGHUP until the PID file names the next
// generation, of gozd and of tableflip alone in turn, so that both meet the same
// moments of the machine. It reports the medians and their ratio. The bare daemon
// writes the PID file when it is ready, and so does that of gozd.
func BenchmarkUpgrade(b *testing.B) {
	bare := startUpgradable(b, "internal/testutil/bare", func(dir string) []string {
		return []string{filepath.Join(dir, "app.pid"), freeport.Address(b)}
	})
	gozd := startUpgradable(b, "examples/http", func(dir string) []string {
		conf := filepath.Join(dir, "app.conf")
		text := "[gozd]\npidfile app.pid\n[web]\nmode http\nlisten 127.0.0.1:0\n"
		if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
		return []string{"-f", "-c", conf}
	})
	for b.Loop() {
		bare.upgrade(b)
		gozd.upgrade(b)
	}
	b.ReportMetric(float64(bare.median()), "tableflip-ns")
	b.ReportMetric(float64(gozd.median()), "gozd-ns")
	b.ReportMetric(float64(gozd.median())/float64(bare.median()), "ratio")
}

// upgradable is a daemon in the foreground, and how long its upgrades have taken.
type upgradable struct {
	cmd     *exec.Cmd
	pidfile string
	wait    func() // until the PID file may have changed
	pid     int
	took    []time.Duration
}

func startUpgradable(b *testing.B, folder string, args func(dir string) []string) *upgradable {
	b.Helper()
	daemon.AdoptOrphans()
	dir := b.TempDir()
	binary := filepath.Join(dir, "app")
	if err := daemon.Build(b.Context(), binary, folder, ""); err != nil {
		b.Fatal(err)
	}
	u := &upgradable{cmd: exec.Command(binary, args(dir)...), pidfile: filepath.Join(dir, "app.pid")}
	u.wait = watch(b, u.pidfile)
	if err := u.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	u.pid = u.awaitPID(b)
	b.Cleanup(func() {
		_ = syscall.Kill(u.pid, syscall.SIGKILL)
		awaitEnd(b, u.cmd, u.pid)
	})
	awaitSettled()
	return u
}

// upgrade upgrades once. tableflip alone upgrades again only when the old process is
// gone.
func (u *upgradable) upgrade(b *testing.B) {
	b.Helper()
	start := time.Now()
	if err := syscall.Kill(u.pid, syscall.SIGHUP); err != nil {
		b.Fatal(err)
	}
	next := u.awaitPID(b)
	u.took = append(u.took, time.Since(start))
	awaitEnd(b, u.cmd, u.pid)
	u.pid = next
	awaitSettled()
}

func (u *upgradable) median() time.Duration {
	slices.Sort(u.took)
	return u.took[len(u.took)/2]
}

// awaitSettled lets a new process come to rest, so that the next upgrade does not
// pay for the last one's end.
func awaitSettled() { time.Sleep(50 * time.Millisecond) }

// awaitPID waits until the PID file names another process than before.
func (u *upgradable) awaitPID(b *testing.B) int {
	b.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		if pid, err := process.ReadPID(u.pidfile); err == nil && pid != u.pid {
			return pid
		}
		if time.Now().After(deadline) {
			b.Fatal(fmt.Errorf("%s still names %d", u.pidfile, u.pid))
		}
		u.wait()
	}
}

// awaitEnd waits until a process is gone: the first is our child, the others are
// orphans.
func awaitEnd(b *testing.B, cmd *exec.Cmd, pid int) {
	b.Helper()
	if cmd.Process.Pid == pid {
		_ = cmd.Wait()
		return
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		daemon.ReapProcess(pid)
		if _, err := process.StartTime(pid); err != nil {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("process %d does not end", pid)
		}
		time.Sleep(time.Millisecond)
	}
}
