package hosts

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

const logged = `
[gozd]
pidfile    PIDFILE
log        LOG
log_format json
user       nobody

[web]
mode    http
listen  127.0.0.1:0
`

// TestLogrotate has Debian's logrotate rotate the log by the configuration of the examples, under load, while upgrades go
// on and the first generation drains. Each line is in one of the files, once, and each of gozd's own
// says which generation and which process has written it.
func TestLogrotate(t *testing.T) {
	require.Root(t)
	rotate := newRotation(t)
	d := prepare(t, binaries.Logging(t), "run/app.pid", "log/app.log", logged)
	start(t, d)
	rotate.of(t, d)
	to := daemontest.Target(t, d, "web")
	held := ask(t, to, "held?hold")
	defer func() { _ = held.conn.Close() }()
	users := startUsers(t, to, 4)
	const rotations = 10
	for n := range rotations {
		upgraded := make(chan error, 1)
		go func() {
			if n%2 == 0 {
				upgraded <- nil
				return
			}
			_, err := d.Upgrade(t.Context())
			upgraded <- err
		}()
		rotate.now(t)
		if err := <-upgraded; err != nil {
			t.Fatal(err)
		}
		if _, err := d.State(); err != nil { // or d would not know of the new generation
			t.Fatal(err)
		}
		eventually(t, "all generations write into the new file", func() bool { return allWriteTo(d, d.Log) })
		users.await(t, 20)
	}
	eventually(t, "the first generation and the last live, and no other", func() bool { return len(d.Alive()) == 2 })
	answered := users.stop(t)
	_ = held.conn.Close()
	if err := d.WaitAlive(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, lines := readLogs(t, filepath.Dir(d.Log))
	if files != rotations+1 {
		t.Errorf("there are %d log files, want %d", files, rotations+1)
	}
	wantLines(t, lines, answered, rotations/2+1)
}

// allWriteTo reports whether the standard output of each generation is the file at path.
func allWriteTo(d *daemon.Daemon, path string) bool {
	for _, s := range d.Alive() {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/1", s.PID)); err == nil && to != path {
			return false
		}
	}
	return true
}

// rotation runs logrotate.
type rotation struct{ program, config, state string }

func newRotation(t *testing.T) *rotation {
	t.Helper()
	dir := t.TempDir()
	return &rotation{
		program: require.Tool(t, "logrotate", "package logrotate"),
		config:  filepath.Join(dir, "app"), state: filepath.Join(dir, "status"),
	}
}

// of makes the example's configuration one for d.
func (r *rotation) of(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	text, err := os.ReadFile("../../../examples/deploy/logrotate/app")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"/var/log/app/*.log {", "su app app", "create 0640 app app", "/usr/local/bin/app -s reopen -c /etc/app/app.conf"} {
		if !strings.Contains(string(text), line) {
			t.Fatalf("the example has no %q any more", line)
		}
	}
	adapted := strings.NewReplacer(
		"/var/log/app/", filepath.Dir(d.Log)+"/", "/usr/local/bin/app", d.Binary, "/etc/app/app.conf", d.Conf,
		"su app app", "su nobody nogroup", "create 0640 app app", "create 0640 nobody nogroup",
	).Replace(string(text))
	if err := os.WriteFile(r.config, []byte(adapted), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (r *rotation) now(t *testing.T) {
	t.Helper()
	if output, err := exec.CommandContext(t.Context(), r.program, "-f", "-s", r.state, r.config).CombinedOutput(); err != nil || len(output) > 0 {
		t.Fatalf("logrotate: %v\n%s", err, output)
	}
}

// session is a connection with requests on it, one after the other.
type session struct {
	conn net.Conn
	in   *bufio.Reader
}

// ask opens a connection and asks once; what the answer goes on with is not read.
func ask(t *testing.T, to load.Target, name string) *session {
	t.Helper()
	s, err := dial(to)
	if err == nil {
		_, err = fmt.Fprintf(s.conn, "GET /%s HTTP/1.1\r\nHost: gozd\r\n\r\n", name)
	}
	if err == nil {
		_, err = s.in.ReadString('\n')
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func dial(to load.Target) (*session, error) {
	conn, err := net.Dial(to.Network, to.Address)
	if err != nil {
		return nil, err
	}
	return &session{conn: conn, in: bufio.NewReader(conn)}, nil
}

func (s *session) get(name string) error {
	_ = s.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := fmt.Fprintf(s.conn, "GET /%s HTTP/1.1\r\nHost: gozd\r\n\r\n", name); err != nil {
		return err
	}
	resp, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// users ask on one connection each, for ever.
type users struct {
	end      chan struct{}
	done     sync.WaitGroup
	mu       sync.Mutex // guards what follows
	answered map[string]bool
	errs     []error
}

func startUsers(t *testing.T, to load.Target, n int) *users {
	t.Helper()
	u := &users{end: make(chan struct{}), answered: make(map[string]bool)}
	for i := range n {
		s, err := dial(to)
		if err != nil {
			t.Fatal(err)
		}
		u.done.Go(func() { u.use(s, i) })
	}
	return u
}

func (u *users) use(s *session, user int) {
	defer func() { _ = s.conn.Close() }()
	for n := 0; ; n++ {
		select {
		case <-u.end:
			return
		default:
		}
		name := fmt.Sprintf("user%d-%d", user, n)
		err := s.get(name)
		u.note(name, err)
		if err != nil {
			return
		}
	}
}

func (u *users) note(name string, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		u.errs = append(u.errs, fmt.Errorf("%s: %w", name, err))
		return
	}
	u.answered[name] = true
}

func (u *users) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.answered)
}

// await waits for n more answers.
func (u *users) await(t *testing.T, n int) {
	t.Helper()
	before := u.count()
	eventually(t, "the users get answers", func() bool { return u.count() >= before+n })
}

// stop returns the names of what has been answered.
func (u *users) stop(t *testing.T) map[string]bool {
	t.Helper()
	close(u.end)
	u.done.Wait()
	for _, err := range u.errs {
		t.Errorf("lost: %v", err)
	}
	return u.answered
}

// readLogs returns the lines of all files in dir, and how many files there are.
func readLogs(t *testing.T, dir string) (files int, lines []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "app.log*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := readLog(path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		lines = append(lines, strings.Split(strings.TrimSuffix(text, "\n"), "\n")...)
	}
	return len(paths), lines
}

func readLog(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	var in io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			return "", err
		}
	}
	text, err := io.ReadAll(in)
	return string(text), err
}

// wantLines checks that nothing that has been said is missing in the log, or there twice.
func wantLines(t *testing.T, lines []string, answered map[string]bool, generations int) {
	t.Helper()
	seen := make(map[string]int)
	spoke := make(map[int]bool)
	held := -1
	for _, line := range lines {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "answered", "held":
			seen[rest[:strings.Index(rest, " generation ")]]++
		case "ended":
			_, _ = fmt.Sscanf(rest, "held %d", &held)
		case "reopened":
		default:
			spoke[ownLine(t, line)] = true
		}
	}
	for name := range answered {
		wantOnce(t, seen, name)
	}
	if held < 100 {
		t.Errorf("the generation that drains has written %d lines, want more", held)
	}
	for n := range held {
		wantOnce(t, seen, fmt.Sprintf("held %d", n))
	}
	for g := 1; g <= generations; g++ {
		if !spoke[g] {
			t.Errorf("gozd has said nothing in generation %d", g)
		}
	}
	t.Logf("%d answers and %d lines of the first generation, in %d lines", len(answered), held, len(lines))
}

func wantOnce(t *testing.T, seen map[string]int, name string) {
	t.Helper()
	if n := seen[name]; n != 1 {
		t.Errorf("%q is in the log %d times", name, n)
	}
}

// ownLine returns the generation that has written a line of gozd's.
func ownLine(t *testing.T, line string) int {
	t.Helper()
	var l struct {
		Msg             string
		Generation, PID int
	}
	if err := json.Unmarshal([]byte(line), &l); err != nil || l.Msg == "" || l.Generation == 0 || l.PID == 0 {
		t.Errorf("the log has %q: %v", line, err)
	}
	return l.Generation
}
