package systemd

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

func itoa(n int) string { return strconv.Itoa(n) }

// TestStop stops each unit while a request takes 3 s, and that is answered.
func TestStop(t *testing.T) {
	for _, file := range []string{"app.service", "app-hardened.service", "app-notify-reload.service"} {
		t.Run(strings.TrimSuffix(file, ".service"), func(t *testing.T) {
			onEach(t, func(t *testing.T, root string) {
				needsVersion(t, root, file)
				u := install(t, root, file, "listen "+freeport.Address(t), "TimeoutStopSec=1") // the daemon asks for more
				u.addr = u.listens()
				u.run("systemctl", "start", "app.service")
				u.reload(1)
				answer := u.get(t, "/slow?d=3s")
				u.run("systemctl", "stop", "app.service")
				if text := <-answer; !strings.Contains(text, "200 OK") || !strings.Contains(text, `"generation":2`) {
					t.Errorf("the request was answered by %q", text)
				}
				journal := u.run("journalctl", "--no-pager", "-o", "cat", "-u", "app.service")
				if strings.Contains(journal, "SIGKILL") || strings.Contains(journal, "timed out") {
					t.Errorf("the stop was not graceful:\n%s", journal)
				}
				if state, result := u.show("ActiveState"), u.show("Result"); state != "inactive" || result != "success" {
					t.Errorf("the unit is %s, its result %s", state, result)
				}
			})
		})
	}
}

// listens is where the configuration has the group listen.
func (u *unit) listens() string {
	u.tb.Helper()
	_, rest, _ := strings.Cut(u.run("cat", "/etc/app/app.conf"), "listen ")
	return strings.Fields(rest)[0]
}

// get sends a request on a connection of its own and, when the server has it, returns where its answer will be.
func (u *unit) get(t *testing.T, path string) <-chan string {
	t.Helper()
	conn, err := net.Dial("tcp", u.addr)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://app"+path, nil)
	must(t, err)
	must(t, req.Write(conn))
	answer := make(chan string, 1)
	go func() {
		resp, err := http.ReadResponse(bufio.NewReader(conn), req)
		if err != nil {
			answer <- err.Error()
			return
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			answer <- err.Error()
			return
		}
		answer <- resp.Status + " " + string(body)
	}()
	return answer
}

// TestSocketUnit has systemd open the sockets, of both kinds: through reloads and restarts no client that
// opens a connection for each request notices anything but a pause.
func TestSocketUnit(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			onEach(t, func(t *testing.T, root string) {
				u := install(t, root, "app.service", "", "")
				u.addr = freeport.Address(t)
				if network == "unix" {
					u.addr = filepath.Join(u.dir, "x.sock")
				}
				u.shipped("app.socket", "app.socket")
				u.run("mkdir", "-p", "/etc/systemd/system/app.socket.d")
				u.write("/etc/systemd/system/app.socket.d/test.conf", "[Socket]\nListenStream=\nListenStream="+u.addr+"\n")
				u.run("systemctl", "daemon-reload")
				u.run("systemctl", "start", "app.socket")
				u.underLoadOfNew(func() { // the first client has the unit started
					u.await("active", func() bool { return u.show("ActiveState") == "active" })
					main := u.mainPID()
					u.reload(3)
					u.wantWell(main)
					for range 3 {
						u.run("systemctl", "restart", "app.service")
					}
					u.reload(1)
				})
				u.run("systemctl", "stop", "app.service")
				c, err := net.Dial(u.target().Network, u.addr) // systemd still listens
				if err != nil {
					t.Fatal(err)
				}
				_ = c.Close()
			})
		})
	}
}

// underLoadOfNew is underLoad with clients that could be served by a restarted daemon: one connection a request.
func (u *unit) underLoadOfNew(do func()) {
	u.tb.Helper()
	l := load.New(nil)
	l.Interval = 2 * time.Millisecond
	l.Add("new connections", 4, func() (load.Client, error) { return load.NewGet(u.target(), load.GetOptions{}) })
	l.Start(context.WithoutCancel(u.tb.Context()))
	do()
	if err := l.Stop(); err != nil {
		u.tb.Error(err)
	}
	if s := l.Recorder().Snapshot().Total; s.Requests == 0 || s.Failed > 0 {
		u.tb.Errorf("%d of %d requests failed: %v", s.Failed, s.Requests, s.Errors)
	}
}

// TestSocketMismatch has a start fail that would serve something else than systemd listens on.
func TestSocketMismatch(t *testing.T) {
	for name, tt := range map[string]struct{ web, fdname, says string }{
		"address":  {"listen 127.0.0.1:1", "web", "app.conf:6: [web]: listen 127.0.0.1:1: systemd passes a socket on 127.0.0.1:"},
		"no group": {"listen 127.0.0.1:0", "wbe", `app.conf: systemd passes a socket named "wbe"`},
	} {
		t.Run(name, func(t *testing.T) {
			u := install(t, suites[0].root(t), "app.service", tt.web, "Restart=no")
			u.shipped("app.socket", "app.socket")
			u.run("mkdir", "-p", "/etc/systemd/system/app.socket.d")
			u.write("/etc/systemd/system/app.socket.d/test.conf", "[Socket]\nListenStream=\nListenStream="+freeport.Address(t)+"\nFileDescriptorName="+tt.fdname+"\n")
			u.run("systemctl", "daemon-reload")
			u.run("systemctl", "start", "app.socket")
			if out, err := u.Exec("systemctl", "start", "app.service"); err == nil {
				t.Errorf("start succeeds: %s", out)
			}
			if journal := u.run("journalctl", "--no-pager", "-o", "cat", "-u", "app.service"); !strings.Contains(journal, tt.says) {
				t.Errorf("the journal does not say %q:\n%s", tt.says, journal)
			}
		})
	}
}
