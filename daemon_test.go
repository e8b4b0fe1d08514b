package gozd_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/lockedbuf"
)

func writeConfig(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "app.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDaemonLife takes one daemon through its life; upgrades are tested with real
// processes in internal/e2e.
func TestDaemonLife(t *testing.T) {
	if os.Getenv(lifeEnv) == "" {
		rerun(t, lifeEnv)
		return
	}
	dir := t.TempDir()
	conf := writeConfig(t, dir, `
[gozd]
pidfile app.pid
[web]
mode http
listen 127.0.0.1:0
[app]
mode fcgi
listen 127.0.0.1:0
[line]
mode tcp
listen 127.0.0.1:0
`)
	log := new(lockedbuf.Buffer)
	d, err := gozd.New(gozd.Options{Config: conf, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	checkRefusals(t, d)
	if _, err := process.ReadPID(d.PIDFile()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("before it is ready the PID file holds %v", err)
	}
	ln := serveAll(t, d)
	awaitReady(t, d)
	if pid, err := process.ReadPID(d.PIDFile()); err != nil || pid != os.Getpid() {
		t.Errorf("the PID file names %d, %v, want %d", pid, err, os.Getpid())
	}
	if d.Generation() != 1 {
		t.Errorf("Generation() = %d, want 1", d.Generation())
	}
	wantBody(t, "http://"+ln.Addr().String(), "hello")

	d.Stop()
	select {
	case <-d.Exit():
	case <-time.After(30 * time.Second):
		t.Fatal("Exit delivers nothing after Stop")
	}
	if _, ok := <-d.Exit(); ok {
		t.Error("Exit is not closed after its value")
	}
	if err := d.Err(); err != nil {
		t.Errorf("Err() after Stop = %v, want nil", err)
	}
	if err := d.Upgrade(); !errors.Is(err, gozd.ErrNotServing) {
		t.Errorf("Upgrade after Stop = %v, want ErrNotServing", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "app.pid*")); len(left) > 0 {
		t.Errorf("%v is left after Stop", left)
	}
	for _, want := range []string{"msg=serving", "msg=done", "reason=stop", "generation=1", "pid="} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}
}

// checkRefusals takes groups that cannot be had, with handlers that do not fit.
func checkRefusals(t *testing.T, d *gozd.Daemon) {
	t.Helper()
	handle := func(http.ResponseWriter, *http.Request) {}
	for _, tt := range []struct {
		name    string
		do      func() error
		want    error
		mention string
	}{
		{"unknown group in Listen", func() error { _, err := d.Listen("wbe"); return err }, gozd.ErrUnknownGroup, `group "wbe": no such group in the configuration (it has app, line, web)`},
		{"unknown group in RegistHandler", func() error { return d.RegistHandler("wbe", "h", handle) }, gozd.ErrUnknownGroup, "it has app, line, web"},
		{"http handler for tcp", func() error { return d.RegistHandler("line", "handle", handle) }, gozd.ErrHandlerType, `handler "handle": group line: wrong type of handler: mode tcp takes a func(gozd.Conn), not func(http.ResponseWriter, *http.Request)`},
		{"tcp handler for http", func() error { return d.RegistHandler("web", "h", func(gozd.Conn) {}) }, gozd.ErrHandlerType, "mode http takes an http.Handler"},
		{"tcp handler for fcgi", func() error { return d.RegistHandler("app", "h", func(gozd.Conn) {}) }, gozd.ErrHandlerType, "mode fcgi takes an http.Handler"},
		{"func(net.Conn) for tcp", func() error { return d.RegistHandler("line", "h", func(net.Conn) {}) }, gozd.ErrHandlerType, "not func(net.Conn)"},
		{"nil", func() error { return d.RegistHandler("web", "h", nil) }, gozd.ErrHandlerType, "not <nil>"},
		{"nil function", func() error { return d.RegistHandler("line", "h", (func(gozd.Conn))(nil)) }, gozd.ErrHandlerType, "mode tcp"},
	} {
		if err := tt.do(); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.mention) {
			t.Errorf("%s: %v, want %v with %q", tt.name, err, tt.want, tt.mention)
		}
	}
}

// serveAll takes all groups, and returns the listener of the http group.
func serveAll(t *testing.T, d *gozd.Daemon) net.Listener {
	t.Helper()
	hello := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }
	ln, err := d.Listen("web")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Listen("web"); !errors.Is(err, gozd.ErrGroupInUse) {
		t.Errorf("the second Listen = %v, want ErrGroupInUse", err)
	}
	if err := d.RegistHandler("web", "hello", hello); !errors.Is(err, gozd.ErrGroupInUse) {
		t.Errorf("RegistHandler after Listen = %v, want ErrGroupInUse", err)
	}
	go func() { _ = http.Serve(ln, http.HandlerFunc(hello)) }()
	if err := d.RegistHandler("app", "hello", http.HandlerFunc(hello)); err != nil {
		t.Error(err)
	}
	if err := d.RegistHandler("line", "echo", func(c gozd.Conn) { _, _ = io.Copy(c, c) }); err != nil {
		t.Error(err)
	}
	return ln
}

func awaitReady(t *testing.T, d *gozd.Daemon) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := process.ReadState(d.PIDFile()); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("not ready after 30 s")
		}
	}
}

func wantBody(t *testing.T, url, want string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != want {
		t.Errorf("GET %s = %q, %v, want %q", url, body, err, want)
	}
}

// TestDaemonThatIsNeverReady leaves a group out.
func TestDaemonThatIsNeverReady(t *testing.T) {
	if os.Getenv(neverReadyEnv) == "" {
		rerun(t, neverReadyEnv)
		return
	}
	dir := t.TempDir()
	conf := writeConfig(t, dir, "[gozd]\npidfile app.pid\nupgrade_timeout 200ms\n[web]\nmode http\nlisten 127.0.0.1:0\n[line]\nmode tcp\nlisten unix:line.sock\n")
	d, err := gozd.New(gozd.Options{Config: conf, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := d.Listen("web")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = http.Serve(ln, nil) }()
	<-d.Exit()
	if err := d.Err(); err == nil || err.Error() != "not ready after 200ms: group line is not being accepted on" {
		t.Errorf("Err() = %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.*")); len(left) != 1 {
		t.Errorf("%v is left, want the configuration only", left)
	}
}

// TestManualReady keeps Accept until the program has warmed up.
func TestManualReady(t *testing.T) {
	if os.Getenv(manualEnv) == "" {
		rerun(t, manualEnv)
		return
	}
	conf := writeConfig(t, t.TempDir(), "[gozd]\npidfile app.pid\n[web]\nmode http\nlisten 127.0.0.1:0\n")
	d, err := gozd.New(gozd.Options{Config: conf, ManualReady: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := d.Listen("web")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			_ = c.Close()
		}
		accepted <- err
	}()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	select {
	case err := <-accepted:
		t.Fatalf("Accept returned before Ready: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := d.Ready(); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Error(err)
	}
	if err := d.Ready(); err != nil {
		t.Errorf("the second Ready = %v", err)
	}
	d.Stop()
	<-d.Exit()
}

// TestReadyThatFails ends the generation: it could neither serve nor become ready again.
func TestReadyThatFails(t *testing.T) {
	if os.Getenv(readyFailsEnv) == "" {
		rerun(t, readyFailsEnv)
		return
	}
	dir := t.TempDir()
	run := filepath.Join(dir, "run")
	if err := os.Mkdir(run, 0o755); err != nil {
		t.Fatal(err)
	}
	conf := writeConfig(t, dir, "[gozd]\npidfile run/app.pid\n[web]\nmode http\nlisten 127.0.0.1:0\n")
	d, err := gozd.New(gozd.Options{Config: conf, ManualReady: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(run); err != nil {
		t.Fatal(err)
	}
	if err := d.Ready(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Ready = %v, want that the PID file cannot be written", err)
	}
	<-d.Exit()
	if err := d.Err(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Err = %v", err)
	}
}

func TestFunctionsBeforeDaemonize(t *testing.T) {
	if _, err := gozd.Listen("web"); !errors.Is(err, gozd.ErrNotDaemonized) {
		t.Errorf("Listen = %v, want ErrNotDaemonized", err)
	}
	if err := gozd.RegistHandler("web", "h", func(gozd.Conn) {}); !errors.Is(err, gozd.ErrNotDaemonized) {
		t.Errorf("RegistHandler = %v, want ErrNotDaemonized", err)
	}
	if err := gozd.Ready(); !errors.Is(err, gozd.ErrNotDaemonized) {
		t.Errorf("Ready = %v, want ErrNotDaemonized", err)
	}
	if d := gozd.Default(); d != nil {
		t.Errorf("Default() = %v, want nil", d)
	}
	if g := gozd.Generation(); g != 0 {
		t.Errorf("Generation() = %d, want 0", g)
	}
}

func TestNewReturnsConfigurationErrors(t *testing.T) {
	if os.Getenv(configEnv) == "" {
		rerun(t, configEnv)
		return
	}
	dir := t.TempDir()
	conf := writeConfig(t, dir, "[web]\nmode htp\n")
	_, err := gozd.New(gozd.Options{Config: conf})
	var errs cfg.Errors
	if !errors.As(err, &errs) || len(errs) != 2 {
		t.Errorf("New = %v, want cfg.Errors with two", err)
	}
}

func ExampleListen() {
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("web") // was: net.Listen("tcp", ":8080")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() { _ = httpx.Serve(ln, http.NotFoundHandler()) }()
	<-exit
}

func ExampleDefault() {
	exit := gozd.Daemonize()
	http.HandleFunc("POST /upgrade", func(w http.ResponseWriter, r *http.Request) {
		err := gozd.Default().Upgrade()
		if failed := (*gozd.UpgradeError)(nil); errors.As(err, &failed) {
			http.Error(w, "failed at "+failed.Stage+": "+failed.Err.Error(), http.StatusBadGateway)
		}
	})
	<-exit
}

func ExampleRegistHandler() {
	exit := gozd.Daemonize()
	err := gozd.RegistHandler("line", "hello", func(conn gozd.Conn) {
		_, _ = fmt.Fprintln(conn, "hello from", conn.Group())
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	<-exit
}
