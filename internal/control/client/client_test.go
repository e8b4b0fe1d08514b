//go:build unix

package client_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take.
const patience = 30 * time.Second

// pidfileIn returns a path with a short name: a socket's must fit into its address.
func pidfileIn(t *testing.T) string {
	t.Helper()
	return filepath.Join(shortdir.Make(t), "app.pid")
}

// serve answers on the control socket of this process as h does.
func serve(t *testing.T, pidfile string, h http.HandlerFunc) {
	t.Helper()
	ln, err := net.Listen("unix", protocol.SocketPath(pidfile, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: patience}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// asDaemon makes this process the one that serves by a PID file.
func asDaemon(t *testing.T, pidfile string, s process.State) {
	t.Helper()
	l, err := process.Acquire(pidfile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Leave)
	s.PID = os.Getpid()
	if s.StartTime, err = process.StartTime(s.PID); err != nil {
		t.Fatal(err)
	}
	if err := process.WriteState(pidfile, &s); err != nil {
		t.Fatal(err)
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// answering says the same to everybody.
func answering(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, text)
	}
}

// serving is own for a daemon that has all its files.
func serving(t *testing.T, h http.HandlerFunc) (c *client.Client, pidfile string) {
	t.Helper()
	pidfile = pidfileIn(t)
	asDaemon(t, pidfile, process.State{Control: true, Since: time.Now(), Generation: 3})
	serve(t, pidfile, h)
	c, err := client.Dial(within(t), pidfile)
	if err != nil {
		t.Fatal(err)
	}
	return c, pidfile
}

// own returns a client of this process.
func own(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	pidfile := pidfileIn(t)
	serve(t, pidfile, h)
	c, err := client.DialPID(within(t), pidfile, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRefusals(t *testing.T) {
	forbidden := own(t, answering(http.StatusForbidden, `{"error":"not yours","code":"forbidden"}`))
	if _, err := forbidden.Stop(within(t)); !errors.Is(err, client.ErrPermission) || !strings.Contains(err.Error(), "not yours") {
		t.Errorf("forbidden: %v, want ErrPermission", err)
	}
	if _, err := forbidden.Upgrade(within(t), client.UpgradeOptions{}, nil); !errors.Is(err, client.ErrPermission) || errors.Is(err, client.ErrUnknownOutcome) {
		t.Errorf("forbidden upgrade: %v, want ErrPermission, and that nothing was tried", err)
	}
	for name, h := range map[string]http.HandlerFunc{
		"another path": answering(http.StatusNotFound, `{"error":"there is no /v1/rollback here","code":"not_found"}`),
		"not JSON":     answering(http.StatusOK, "hello"),
		"no words":     answering(http.StatusTeapot, "{}"),
	} {
		if _, err := own(t, h).Rollback(within(t)); !errors.Is(err, client.ErrProtocol) {
			t.Errorf("%s: %v, want ErrProtocol", name, err)
		}
	}
	conflict := own(t, answering(http.StatusConflict, `{"error":"nothing there","code":"no_probation"}`))
	var refused *client.AnswerError
	if _, err := conflict.Rollback(within(t)); !errors.As(err, &refused) || refused.Answer.Code != protocol.CodeNoProbation || errors.Is(err, client.ErrPermission) {
		t.Errorf("conflict: %v, want an AnswerError", err)
	}
}

// A daemon is not stopped where the generation that was asked has been replaced, and its successor has other files.
func TestStopOfOneWhoseFilesHaveMoved(t *testing.T) {
	to := pidfileIn(t)
	asDaemon(t, to, process.State{})
	if err := process.WriteState(to, &process.State{PID: os.Getppid(), Generation: 4}); err != nil {
		t.Fatal(err)
	}
	c, pidfile := serving(t, answering(http.StatusOK, fmt.Sprintf(`{"pid":5,"generation":3,"pidfile":%q}`, to)))
	for name, end := range map[string]func(context.Context) (*protocol.Answer, error){"Stop": c.Stop, "Quit": c.Quit} {
		a, err := end(within(t))
		var moved *client.MovedError
		if a != nil || !errors.As(err, &moved) || moved.To != to || moved.PIDFile != pidfile || !errors.Is(err, process.ErrNotRunning) {
			t.Errorf("%s = %+v, %v", name, a, err)
		}
	}
}

func TestUpgradeOutcomes(t *testing.T) {
	served := fmt.Sprintf(`{"event":"served","pid":%d,"generation":4}`, os.Getppid()) + "\n"
	for _, test := range []struct {
		name, stream string
		check        func(up *client.Upgraded, err error) bool
	}{
		{"drained", served + `{"event":"draining","open":1}` + "\n" + `{"event":"drained","moved":4}` + "\n", func(up *client.Upgraded, err error) bool {
			return err == nil && up.Served.PID == os.Getppid() && up.OldPID == os.Getpid() && up.Drained.Moved == 4
		}},
		{"failed", `{"event":"started","pid":5}` + "\n" + `{"event":"failed","pid":5,"stage":"listen","error":"in use"}` + "\n", func(_ *client.Upgraded, err error) bool {
			var failed *client.UpgradeError
			return errors.As(err, &failed) && failed.PID == os.Getpid() && failed.Failed == 5 && err.Error() == "upgrade failed at listen: pid 5: in use"
		}},
		{"dies after it served", served + `{"event":"draining","open":1}` + "\n" + `{"event":"failed","pid":5,"stage":"serving","error":"it died"}` + "\n", func(up *client.Upgraded, err error) bool {
			var failed *client.UpgradeError
			return up == nil && errors.As(err, &failed) && failed.PID == os.Getpid() && err.Error() == "upgrade failed at serving: pid 5: it died"
		}},
		{"given up", `{"event":"failed","error":"asked to end"}` + "\n", func(_ *client.Upgraded, err error) bool {
			return err != nil && err.Error() == "upgrade given up: asked to end"
		}},
		{"the end of a dry run", `{"event":"passed","pid":5}` + "\n", func(_ *client.Upgraded, err error) bool { return errors.Is(err, client.ErrProtocol) }},
		{"not JSON", "hello\n", func(_ *client.Upgraded, err error) bool { return errors.Is(err, client.ErrProtocol) }},
	} {
		seen := 0
		c, pidfile := serving(t, answering(http.StatusOK, test.stream))
		if strings.HasPrefix(test.stream, served) && !strings.Contains(test.stream, "failed") {
			serves(t, pidfile, 4)
		}
		up, err := c.Upgrade(within(t), client.UpgradeOptions{}, func(protocol.Event) { seen++ })
		if !test.check(up, err) || seen != strings.Count(test.stream, "}\n") {
			t.Errorf("%s: %+v, %v after %d events", test.name, up, err, seen)
		}
	}
}

func TestUpgradeFollowsSuperseded(t *testing.T) {
	asked, pidfile := 0, ""
	var c *client.Client
	c, pidfile = serving(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 3 { // its files name the next one only a moment later
			_, _ = fmt.Fprintf(w, `{"event":"superseded","pid":77}`)
			return
		}
		nextServes(t, pidfile)
		_, _ = fmt.Fprintf(w, `{"event":"served","pid":%d}`, os.Getppid())
	})
	told := 0
	up, err := c.Upgrade(within(t), client.UpgradeOptions{NoDrain: true}, func(protocol.Event) { told++ })
	if err != nil || up.Served.PID != os.Getppid() || asked != 3 || told != 2 {
		t.Errorf("%+v, %v after %d requests and %d events, want this test's parent after 3 and 2", up, err, asked, told)
	}
}

func TestDryRun(t *testing.T) {
	asked := 0
	c, _ := serving(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch {
		case r.URL.Path != protocol.PathDryRun:
			t.Errorf("asked for %s", r.URL.Path)
		case asked == 1:
			_, _ = fmt.Fprintf(w, `{"event":"superseded","pid":77}`)
		default:
			_, _ = fmt.Fprintf(w, `{"event":"started","pid":9,"generation":3}{"event":"passed","pid":9,"generation":3,"seconds":0.5}`)
		}
	})
	passed, err := c.DryRun(within(t), nil)
	if err != nil || passed.Type != protocol.Passed || passed.PID != 9 || passed.Generation != 3 || passed.Seconds != 0.5 || asked != 2 {
		t.Errorf("%+v, %v after %d requests, want that pid 9 has passed after 2", passed, err, asked)
	}
}

// A daemon from before dry runs must not upgrade instead.
func TestDryRunOfAnOldDaemon(t *testing.T) {
	c, _ := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintf(w, `{"error":"there is no \"/v1/dry-run\" here","code":"not_found"}`)
	})
	if _, err := c.DryRun(within(t), nil); !errors.Is(err, client.ErrProtocol) || !strings.Contains(err.Error(), "dry-run") {
		t.Errorf("%v, want that it has no dry run", err)
	}
}

// nextServes has the files of this process's daemon name another generation, which is its parent.
func nextServes(t *testing.T, pidfile string) {
	t.Helper()
	serves(t, pidfile, 5)
}

// serves has the files name the parent of this process, as the generation of that number.
func serves(t *testing.T, pidfile string, generation int) {
	t.Helper()
	start, err := process.StartTime(os.Getppid())
	if err == nil {
		err = process.WriteState(pidfile, &process.State{PID: os.Getppid(), StartTime: start, Generation: generation})
	}
	if err != nil {
		t.Error(err)
	}
}

// The generation that is asked stops talking, because it is killed for one. What became of the upgrade is to be seen in the files.
func TestUpgradeAfterTheStreamEnds(t *testing.T) {
	const started, servedEvent = `{"event":"started","pid":5}` + "\n", `{"event":"served","pid":5,"generation":2}` + "\n"
	later := func(t *testing.T, pidfile string) {
		t.Helper()
		time.AfterFunc(300*time.Millisecond, func() { nextServes(t, pidfile) })
	}
	anew := func(t *testing.T, pidfile string) {
		t.Helper()
		serves(t, pidfile, 1)
	}
	gone := func(t *testing.T, pidfile string) { // its successor holds the lock, has not come up, and ends
		t.Helper()
		if err := process.WriteState(pidfile, &process.State{PID: 1 << 22, StartTime: 1}); err != nil {
			t.Error(err)
		}
		time.AfterFunc(300*time.Millisecond, func() { _ = process.RemoveFiles(pidfile) })
	}
	for _, test := range []struct {
		name, stream string
		then         func(t *testing.T, pidfile string)
		check        func(up *client.Upgraded, err error) bool
	}{
		{"drain cut short", servedEvent, later, func(up *client.Upgraded, err error) bool {
			return err == nil && up.Served.PID == 5 && up.Drained == nil && up.OldGeneration == 3
		}},
		{"successor serves a moment later", started, later, func(up *client.Upgraded, err error) bool {
			return err == nil && up.Served.PID == os.Getppid() && up.Served.Generation == 5 && up.Served.Seconds > 0.2 && up.OldPID == os.Getpid()
		}},
		{"started anew", started, anew, func(up *client.Upgraded, err error) bool {
			var failed *client.UpgradeError
			return up == nil && errors.As(err, &failed) && failed.By == os.Getppid() && !failed.Serves() && failed.Remains() == fmt.Sprintf("pid %d serves", os.Getppid())
		}},
		{"started anew, after it was said that it serves", servedEvent, anew, func(up *client.Upgraded, err error) bool {
			var failed *client.UpgradeError
			return up == nil && errors.As(err, &failed) && failed.By == os.Getppid()
		}},
		{"nobody serves", started, gone, func(up *client.Upgraded, err error) bool {
			return up == nil && errors.Is(err, process.ErrNotRunning) && strings.Contains(err.Error(), "nobody serves")
		}},
		{"nobody serves, after it was said", servedEvent, gone, func(up *client.Upgraded, err error) bool {
			return up == nil && errors.Is(err, process.ErrNotRunning)
		}},
		{"it lives", `{"event":"ser`, func(*testing.T, string) {}, func(up *client.Upgraded, err error) bool {
			return up == nil && errors.Is(err, client.ErrUnknownOutcome)
		}},
		{"it lives and says nothing", "", func(*testing.T, string) {}, func(up *client.Upgraded, err error) bool {
			return up == nil && errors.Is(err, client.ErrUnknownOutcome)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, pidfile := serving(t, answering(http.StatusOK, test.stream))
			test.then(t, pidfile)
			if up, err := c.Upgrade(within(t), client.UpgradeOptions{}, nil); !test.check(up, err) {
				t.Errorf("Upgrade = %+v, %v", up, err)
			}
		})
	}
}

// Whom another upgrade has replaced before it could be asked is not asked again: the one that serves is.
func TestUpgradeOfOneThatIsReplaced(t *testing.T) {
	for name, refuse := range map[string]http.HandlerFunc{
		"hangs up":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"waits":        answering(http.StatusOK, `{"event":"waiting"}`),
		"does not any": answering(http.StatusConflict, `{"error":"asked to end","code":"not_serving"}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, pidfile := serving(t, refuse)
			nextServes(t, pidfile)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			// The parent, who is asked next, has no socket.
			up, err := c.Upgrade(ctx, client.UpgradeOptions{}, nil)
			if want := protocol.SocketPath(pidfile, os.Getppid()); up != nil || err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Upgrade = %+v, %v, want that %s was tried", up, err, want)
			}
		})
	}
}

// A caller who has waited long enough is told that the upgrade may still succeed, or that
// it has.
func TestUpgradeEndsWithItsContext(t *testing.T) {
	hang := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprint(w, text)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}
	served := fmt.Sprintf(`{"event":"served","pid":%d}`, os.Getppid())
	for text, unknown := range map[string]bool{`{"event":"started"}` + "\n": true, served + "\n": false} {
		c, pidfile := serving(t, hang(text))
		if !unknown {
			nextServes(t, pidfile)
		}
		ctx, cancel := context.WithCancel(within(t))
		up, err := c.Upgrade(ctx, client.UpgradeOptions{}, func(protocol.Event) { cancel() })
		if !errors.Is(err, context.Canceled) || errors.Is(err, client.ErrUnknownOutcome) != unknown || (up == nil) != unknown {
			t.Errorf("after %q: %+v, %v", text, up, err)
		}
		cancel()
	}
	var failed *client.UpgradeError
	resumed := own(t, answering(http.StatusOK, `{"event":"draining"}{"event":"failed","pid":5,"stage":"serving","error":"it died"}`))
	if err := resumed.Drain(within(t), func(protocol.Event) {}); !errors.As(err, &failed) || failed.Failed != 5 {
		t.Errorf("Drain of a generation that serves again: %v, want an UpgradeError", err)
	}
	c := own(t, hang(""))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.Drain(ctx, func(protocol.Event) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Drain: %v, want the context's error", err)
	}
}

// Another user does not get as far as the daemon.
func TestPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may connect to everything")
	}
	pidfile := pidfileIn(t)
	serve(t, pidfile, answering(http.StatusOK, "{}"))
	if err := os.Chmod(protocol.SocketPath(pidfile, os.Getpid()), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DialPID(within(t), pidfile, os.Getpid()); !errors.Is(err, client.ErrPermission) || !errors.Is(err, fs.ErrPermission) || !errors.Is(err, syscall.EACCES) {
		t.Errorf("DialPID: %v, want ErrPermission", err)
	}
}
