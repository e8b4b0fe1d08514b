//go:build unix

package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/stranger"
)

// victim is another daemon of the same user, by a PID file of its own: this process. It must not be asked anything.
func victim(t *testing.T) (socket string) {
	t.Helper()
	pidfile := pidfileIn(t)
	serve(t, pidfile, func(w http.ResponseWriter, r *http.Request) { t.Errorf("it was asked %s %s", r.Method, r.URL) })
	return protocol.SocketPath(pidfile, os.Getpid())
}

// forged is a daemon whose files name a process that has no socket, and at whose socket's path something stands that the
// owner of the directory has put there.
func forged(t *testing.T, put func(path string) error) (pidfile string) {
	t.Helper()
	pidfile = pidfileIn(t)
	asDaemon(t, pidfile, process.State{Control: true, Since: time.Now()})
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // the context has killed it
	start, err := process.StartTime(cmd.Process.Pid)
	if err == nil {
		err = process.WriteState(pidfile, &process.State{PID: cmd.Process.Pid, StartTime: start, Control: true, Since: time.Now()})
	}
	if err == nil {
		err = put(protocol.SocketPath(pidfile, cmd.Process.Pid))
	}
	if err != nil {
		t.Fatal(err)
	}
	return pidfile
}

func TestForgedSockets(t *testing.T) {
	const hardLink = "hard link to another daemon's"
	to := victim(t)
	for name, put := range map[string]func(path string) error{
		"link to another daemon's": func(path string) error { return os.Symlink(to, path) },
		hardLink:                   func(path string) error { return os.Link(to, path) },
		"regular file":             func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"directory":                func(path string) error { return os.Mkdir(path, 0o700) },
		"link to a device":         func(path string) error { return os.Symlink("/dev/zero", path) },
	} {
		t.Run(name, func(t *testing.T) {
			pidfile := forged(t, put)
			began := time.Now()
			c, err := client.Dial(within(t), pidfile)
			if err == nil {
				_, err = c.Stop(within(t))
			}
			if err == nil || errors.Is(err, process.ErrNotRunning) || time.Since(began) > 5*time.Second {
				t.Errorf("Dial and Stop = %v after %v, want a refusal at once", err, time.Since(began))
			}
			want := client.ErrNoSocket // the daemon has none, and whoever asks may go another way
			if name == hardLink {
				want = process.ErrUntrusted
			}
			if !errors.Is(err, want) {
				t.Errorf("Dial and Stop = %v, want %v", err, want)
			}
		})
	}
}

// A daemon that has another user's process for its successor is not believed, whoever that is.
func TestUpgradeThatNamesAStranger(t *testing.T) {
	other, start := stranger.Process(t)
	c, pidfile := serving(t, answering(http.StatusOK, fmt.Sprintf(`{"event":"served","pid":%d,"start_time":%d,"generation":4}
{"event":"drained"}
`, other, start)))
	for _, noDrain := range []bool{false, true} {
		if up, err := c.Upgrade(within(t), client.UpgradeOptions{NoDrain: noDrain}, nil); !errors.Is(err, process.ErrUntrusted) {
			t.Errorf("Upgrade = %+v, %v, want ErrUntrusted", up, err)
		}
		if err := os.Remove(process.StatePath(pidfile)); err != nil && !noDrain { // the user's file
			t.Fatal(err)
		}
	}
}

// strangersFiles are those of another user's daemon, of which a process lives.
func strangersFiles(t *testing.T, pidfile string) {
	t.Helper()
	other, start := stranger.Process(t)
	lock, err := process.Acquire(pidfile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lock.Leave)
	if err := process.WriteState(pidfile, &process.State{PID: other, StartTime: start, Generation: 4}); err != nil {
		t.Fatal(err)
	}
	if err := lock.File().Chown(stranger.UID, -1); err != nil {
		t.Fatal(err)
	}
}

// A daemon that has ended, and names the PID file of another user's for that of its successor, has none.
func TestUpgradeThatNamesTheFilesOfAStranger(t *testing.T) {
	require.Root(t)
	named := pidfileIn(t)
	strangersFiles(t, named)
	for _, event := range []protocol.EventType{protocol.Served, protocol.Superseded} {
		var c *client.Client
		var pidfile string
		c, pidfile = serving(t, func(w http.ResponseWriter, _ *http.Request) {
			if err := process.RemoveFiles(pidfile); err != nil {
				t.Error(err)
			}
			_, _ = fmt.Fprintf(w, `{"event":%q,"pid":4194304,"start_time":1,"generation":4,"pidfile":%q}`+"\n", event, named)
		})
		if up, err := c.Upgrade(within(t), client.UpgradeOptions{NoDrain: true}, nil); up != nil || !errors.Is(err, process.ErrUntrusted) {
			t.Errorf("%s: Upgrade = %+v, %v, want ErrUntrusted", event, up, err)
		}
	}
}

// Nor does another user's daemon prove an upgrade that has its files where those of the daemon were which ended in the middle.
func TestUpgradeAfterWhichAStrangerHasTheFiles(t *testing.T) {
	require.Root(t)
	var c *client.Client
	var pidfile string
	c, pidfile = serving(t, func(w http.ResponseWriter, _ *http.Request) {
		if err := process.RemoveFiles(pidfile); err != nil {
			t.Error(err)
		}
		strangersFiles(t, pidfile)
		_, _ = fmt.Fprint(w, `{"event":"started","pid":4194304,"generation":4}`+"\n")
	})
	if up, err := c.Upgrade(within(t), client.UpgradeOptions{}, nil); up != nil || !errors.Is(err, process.ErrUntrusted) {
		t.Errorf("Upgrade = %+v, %v, want ErrUntrusted", up, err)
	}
}

// A daemon that is asked to stop, and says that its successor has other files, is believed only where these are of the same user's daemon: gozdctl
// tells root to stop that one.
func TestStopThatNamesTheFilesOfAnother(t *testing.T) {
	require.Root(t)
	strangers, missing := pidfileIn(t), pidfileIn(t)
	strangersFiles(t, strangers)
	var to string
	c, pidfile := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"pid":5,"generation":3,"pidfile":%q}`, to)
	})
	for _, test := range []struct {
		name, to string
		want     error
	}{
		{"a stranger's", strangers, process.ErrUntrusted},
		{"nobody's", missing, process.ErrNotRunning},
		{"its own", pidfile, process.ErrUntrusted},
		{"no path", "-c" + strangers, client.ErrProtocol},
	} {
		t.Run(test.name, func(t *testing.T) {
			to = test.to
			var moved *client.MovedError
			if a, err := c.Stop(within(t)); a != nil || errors.As(err, &moved) || !errors.Is(err, test.want) || !errors.Is(err, client.ErrReplaced) {
				t.Errorf("Stop = %+v, %v, want %v", a, err, test.want)
			}
		})
	}
}

// What is made of an answer is bounded: the daemon's user makes it, and root asks.
func TestAnswerOfAnyLength(t *testing.T) {
	c := own(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"generations":[{}`))
		for range 16 {
			if _, err := w.Write(bytes.Repeat([]byte(",{}"), 1<<20/3)); err != nil {
				return
			}
		}
		_, _ = w.Write([]byte("]}"))
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := c.Status(within(t)); !errors.Is(err, client.ErrProtocol) {
		t.Errorf("Status = %v, want ErrProtocol", err)
	}
	runtime.ReadMemStats(&after)
	if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 1000 {
		t.Errorf("%d MiB were allocated", used)
	}
}

// The daemon's user can name as many generations as fit into an answer.
func TestGenerationsWithoutEnd(t *testing.T) {
	for n, believed := range map[int]bool{1024: true, 1025: false, 37_000: false} {
		c := own(t, answering(http.StatusOK, `{"generations":[`+strings.TrimSuffix(strings.Repeat(`{"pid":1},`, n), ",")+`]}`))
		s, err := c.Status(within(t))
		if believed && (err != nil || len(s.Generations) != n) || !believed && !errors.Is(err, client.ErrProtocol) {
			t.Errorf("%d generations: %v", n, err)
		}
	}
}

// The same is true of groups, each of which is shown.
func TestGroupsWithoutEnd(t *testing.T) {
	const half = client.MaxGroups / 2
	for n, believed := range map[int]bool{half: true, half + 1: false, 50_000: false} {
		groups := strings.TrimSuffix(strings.Repeat("{},", n), ",")
		c := own(t, answering(http.StatusOK, fmt.Sprintf(`{"generations":[{"groups":[%s]},{"groups":[%[1]s]}]}`, groups)))
		if _, err := c.Status(within(t)); believed && err != nil || !believed && !errors.Is(err, client.ErrProtocol) {
			t.Errorf("twice %d groups: %v", n, err)
		}
	}
}
