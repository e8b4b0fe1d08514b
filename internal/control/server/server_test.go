package server_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
)

func TestOpen(t *testing.T) {
	pidfile := pidfileIn(t)
	s := open(t, newFake(), server.Options{PIDFile: pidfile})
	if want := protocol.SocketPath(pidfile, os.Getpid()); s.Path() != want {
		t.Errorf("path %s, want %s", s.Path(), want)
	}
	info, err := os.Lstat(s.Path())
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Fatalf("%v, %v, want a socket of mode 0600", info, err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(s.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left after Close: %v", err)
	}
	if err := s.Leave(); err != nil {
		t.Errorf("Leave after Close: %v", err)
	}
}

func TestOpenFails(t *testing.T) {
	pidfile := filepath.Join(pidfileIn(t), "missing", "app.pid")
	if s, err := server.Open(newFake(), server.Options{PIDFile: pidfile}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), pidfile) {
		t.Errorf("Open = %v, %v, want fs.ErrNotExist and the path", s, err)
	}
}

// A request that has begun is answered, and then nothing is.
func TestCloseWaitsForAnswers(t *testing.T) {
	f, began, goOn := newFake(), make(chan struct{}), make(chan struct{})
	f.rollback = func() error { close(began); <-goOn; return nil }
	s := open(t, f, server.Options{})
	idle, err := net.Dial("unix", s.Path()) // it asks nothing, and is not waited for
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	answered := make(chan *http.Response, 1)
	go func() { answered <- request(t, s, http.MethodPost, protocol.PathRollback, nil) }()
	<-began
	if err := s.Leave(); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("unix", s.Path()); err == nil {
		c.Close()
		t.Error("somebody got in after Leave")
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close(context.Background()) }()
	select {
	case err := <-closed:
		t.Errorf("Close did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(goOn)
	wantAnswer(t, <-answered, http.StatusOK, "")
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// A client that does not read costs no more than Close is given.
func TestCloseCutsWhoDoesNotRead(t *testing.T) {
	f := newFake()
	s := open(t, f, server.Options{})
	c, err := net.Dial("unix", s.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET /v1/drain HTTP/1.1\r\nHost: gozd\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil { // it has begun
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Close(ctx) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("Close waits for ever")
	}
}

// One line for an action, none for a look.
func TestLog(t *testing.T) {
	var text bytes.Buffer
	f := newFake()
	s := open(t, f, server.Options{Log: slog.New(slog.NewTextHandler(&text, nil))})
	for range 3 {
		decode[protocol.Status](t, request(t, s, http.MethodGet, protocol.PathStatus, nil))
	}
	wantAnswer(t, request(t, s, http.MethodGet, "/v2/status", nil), http.StatusNotFound, protocol.CodeNotFound)
	wantAnswer(t, request(t, s, http.MethodPost, protocol.PathStop, nil), http.StatusOK, "")
	if err := s.Close(t.Context()); err != nil { // or the log might still be written
		t.Fatal(err)
	}
	if got := text.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "action=stop by_uid=") {
		t.Errorf("log %q, want a line for the stop", got)
	}
}

func TestPanicIsAnswered(t *testing.T) {
	var text bytes.Buffer
	s, err := server.Open(panicking{newFake()}, server.Options{PIDFile: pidfileIn(t), Log: slog.New(slog.NewTextHandler(&text, nil))})
	if err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, request(t, s, http.MethodGet, protocol.PathStatus, nil), http.StatusInternalServerError, protocol.CodeFailed)
	if err := s.Close(t.Context()); err != nil { // or the log might still be written
		t.Error(err)
	}
	if got := text.String(); !strings.Contains(got, "panic=boom") {
		t.Errorf("log %q, want the panic", got)
	}
}

type panicking struct{ *fakeDaemon }

func (panicking) Status(context.Context, bool) *protocol.Status { panic("boom") }

func TestWhoMayControl(t *testing.T) {
	for _, test := range []struct {
		uid, daemon int
		err         error
		may         bool
	}{
		{uid: 1000, daemon: 1000, may: true},
		{uid: 0, daemon: 1000, may: true},
		{uid: 1000, daemon: 0},
		{uid: 1001, daemon: 1000},
		{uid: 0, daemon: 0, err: syscall.ENOTCONN},
	} {
		if err := server.MayControl(test.uid, test.daemon, test.err); (err == nil) != test.may {
			t.Errorf("uid %d, %v, of a daemon of uid %d: %v", test.uid, test.err, test.daemon, err)
		}
	}
}

func TestRemoveStale(t *testing.T) {
	pidfile := pidfileIn(t)
	dir := filepath.Dir(pidfile)
	const gone = 4194304 // more than any process can have
	live, err := net.Listen("unix", protocol.SocketPath(pidfile, gone-1))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close() // of another PID namespace
	for _, name := range []string{"app.pid.4194304.sock", "app.pid.04194304.sock", "other.pid.4194304.sock", "app.pid.sock", "app.pid.x.sock", "app.pid.1.sock"} {
		ln, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		ln.(*net.UnixListener).SetUnlinkOnClose(false)
		ln.Close()
	}
	if err := os.WriteFile(protocol.SocketPath(pidfile, gone-2), nil, 0o600); err != nil { // no socket
		t.Fatal(err)
	}
	before, _ := os.ReadDir(dir)
	server.RemoveStale(pidfile)
	after, _ := os.ReadDir(dir)
	if len(after) != len(before)-1 {
		t.Errorf("%v are left of %v, want all but one", after, before)
	}
	if _, err := os.Lstat(protocol.SocketPath(pidfile, gone)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the stale one is left: %v", err)
	}
}

// Whoever can make files beside the PID file can make any number of them. Only some are removed each time; the sockets of those that are known to
// be gone, always.
func TestRemoveStaleOfMany(t *testing.T) {
	pidfile := pidfileIn(t)
	const gone, all = 4194304, 200 // more than any process can have
	known := protocol.SocketPath(pidfile, gone+all-1)
	ln, err := net.Listen("unix", known)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	for n := range all - 1 {
		if err := os.Link(known, protocol.SocketPath(pidfile, gone+n)); err != nil {
			t.Fatal(err)
		}
	}
	server.RemoveStale(pidfile, 0, gone+all-1, os.Getpid())
	left, _ := os.ReadDir(filepath.Dir(pidfile))
	if removed := all - len(left); removed != 65 {
		t.Errorf("%d of %d are removed", removed, all)
	}
	if _, err := os.Lstat(known); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the one that is known is left: %v", err)
	}
}
