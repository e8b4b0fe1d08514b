//go:build unix

package bench

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// BenchmarkUpgrade measures from SIGHUP until the PID file names the next
// generation. The bare daemon writes it when it is ready, and that of gozd just
// before.
func BenchmarkUpgrade(b *testing.B) {
	for _, side := range []struct {
		name, folder string
		args         func(dir string) []string
	}{
		{"tableflip", "internal/testutil/bare", func(dir string) []string {
			return []string{filepath.Join(dir, "app.pid"), freeAddress(b)}
		}},
		{"gozd", "examples/http", func(dir string) []string {
			conf := filepath.Join(dir, "app.conf")
			text := "[gozd]\npidfile app.pid\n[web]\nmode http\nlisten 127.0.0.1:0\n"
			if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
				b.Fatal(err)
			}
			return []string{"-f", "-c", conf}
		}},
	} {
		b.Run("side="+side.name, func(b *testing.B) {
			dir := b.TempDir()
			binary := filepath.Join(dir, "app")
			if err := daemon.Build(b.Context(), binary, side.folder, ""); err != nil {
				b.Fatal(err)
			}
			benchmarkUpgrade(b, binary, side.args(dir), filepath.Join(dir, "app.pid"))
		})
	}
}

func freeAddress(b *testing.B) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

func benchmarkUpgrade(b *testing.B, binary string, args []string, pidfile string) {
	b.Helper()
	daemon.AdoptOrphans()
	cmd := exec.Command(binary, args...)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	pid := awaitPID(b, pidfile, 0)
	awaitSettled()
	for b.Loop() {
		if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
			b.Fatal(err)
		}
		next := awaitPID(b, pidfile, pid)
		b.StopTimer()
		awaitEnd(b, cmd, pid) // tableflip alone upgrades again only then
		awaitSettled()
		pid = next
		b.StartTimer()
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	awaitEnd(b, cmd, pid)
}

// awaitSettled lets a new process come to rest, so that the next upgrade does not
// pay for the last one's end.
func awaitSettled() { time.Sleep(50 * time.Millisecond) }

// awaitPID waits until the PID file names another process than before.
func awaitPID(b *testing.B, pidfile string, before int) int {
	b.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		if pid, err := process.ReadPID(pidfile); err == nil && pid != before {
			return pid
		}
		if time.Now().After(deadline) {
			b.Fatal(fmt.Errorf("%s still names %d", pidfile, before))
		}
		time.Sleep(200 * time.Microsecond) // looking must not take the processor from who is looked at
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
