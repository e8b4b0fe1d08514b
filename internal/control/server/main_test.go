package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take.
const patience = 30 * time.Second

// fakeDaemon does what its fields say. It is a daemon of generation 3.
type fakeDaemon struct {
	upgrade  func(notify func(protocol.Event)) error
	rollback func() error
	reopen   func() error
	draining chan struct{}
	drained  chan struct{}

	mu    sync.Mutex // guards what follows
	asked []string
	at    protocol.Event
}

func newFake() *fakeDaemon {
	return &fakeDaemon{draining: make(chan struct{}), drained: make(chan struct{})}
}

func (f *fakeDaemon) note(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, what)
}

// told returns what it has been asked to do.
func (f *fakeDaemon) told() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.asked, " ")
}

func (f *fakeDaemon) progress(e protocol.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = e
}

func (f *fakeDaemon) Self() (pid, generation int) { return 333, 3 }

func (f *fakeDaemon) Status(_ context.Context, alone bool) *protocol.Status {
	s := &protocol.Status{PIDFile: "/run/app.pid", Generation: 3, Generations: []protocol.Generation{{Generation: 3, PID: 333}}}
	if !alone {
		s.Generations = append([]protocol.Generation{{Generation: 2, PID: 222}}, s.Generations...)
	}
	return s
}

func (f *fakeDaemon) Program(_ context.Context, all bool) (string, error) {
	if all {
		return "", errors.New("the program does not say")
	}
	return "# TYPE a counter\na 1\n", nil
}

func (f *fakeDaemon) Upgrade(notify func(protocol.Event)) error {
	f.note("upgrade")
	if f.upgrade == nil {
		return &server.RefusalError{Code: protocol.CodeNotServing, Err: errors.New("not me")}
	}
	return f.upgrade(notify)
}

func (f *fakeDaemon) DryRun(notify func(protocol.Event)) error {
	f.note("dry run")
	notify(protocol.Event{Type: protocol.Started, Generation: 2, PID: 4711})
	notify(protocol.Event{Type: protocol.Passed, Generation: 2, PID: 4711, Seconds: 0.5})
	return nil
}

func (f *fakeDaemon) Rollback() error {
	f.note("rollback")
	if f.rollback == nil {
		return &server.RefusalError{Code: protocol.CodeNoProbation, Err: errors.New("nothing there")}
	}
	return f.rollback()
}

func (f *fakeDaemon) Reopen() error {
	f.note("reopen")
	if f.reopen == nil {
		return nil
	}
	return f.reopen()
}

func (f *fakeDaemon) ReloadCerts() ([]string, error) {
	f.note("reload-certs")
	return []string{"web"}, nil
}

func (f *fakeDaemon) Stop() string              { f.note("stop"); return "" }
func (f *fakeDaemon) Quit() string              { f.note("quit"); return "/run/moved.pid" }
func (f *fakeDaemon) Draining() <-chan struct{} { return f.draining }
func (f *fakeDaemon) Drained() <-chan struct{}  { return f.drained }

func (f *fakeDaemon) Progress() protocol.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}

// pidfileIn returns a path with a short name: a socket's must fit into its address.
func pidfileIn(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(shortdir.Make(tb), "app.pid")
}

func open(tb testing.TB, f *fakeDaemon, opts server.Options) *server.Server {
	tb.Helper()
	if opts.PIDFile == "" {
		opts.PIDFile = pidfileIn(tb)
	}
	s, err := server.Open(f, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = s.Close(ctx)
		if ctx.Err() != nil {
			tb.Error("requests were still open at the end")
		}
	})
	return s
}

// request does one request on a connection of its own and returns what is answered. It
// asks for the connection to be closed, so that nothing is left of it.
func request(tb testing.TB, s *server.Server, method, path string, body io.Reader) *http.Response {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, "http://gozd"+path, body)
	if err != nil {
		tb.Fatal(err)
	}
	req.Close = true
	connect := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.Path())
	}
	resp, err := (&http.Transport{DialContext: connect}).RoundTrip(req)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// decode reads one JSON value of an answer's body.
func decode[T any](tb testing.TB, resp *http.Response) T {
	tb.Helper()
	var v T
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		tb.Fatalf("answer %s: %v", resp.Status, err)
	}
	return v
}

// wantAnswer checks status and code of an answer, and that an error has words.
func wantAnswer(tb testing.TB, resp *http.Response, status int, code string) protocol.Answer {
	tb.Helper()
	a := decode[protocol.Answer](tb, resp)
	if resp.StatusCode != status || a.Code != code || (a.Error == "") != (status == http.StatusOK) {
		tb.Errorf("answer %s: %+v, want %d and code %q", resp.Status, a, status, code)
	}
	if resp.Header.Get("Content-Type") != "application/json" || a.PID != 333 || a.Generation != 3 {
		tb.Errorf("answer %+v of type %q, want JSON from pid 333, generation 3", a, resp.Header.Get("Content-Type"))
	}
	return a
}
