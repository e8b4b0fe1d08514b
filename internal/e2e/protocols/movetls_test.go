package protocols

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/lockedbuf"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// movingGroup is one whose connections move with their keys.
const movingGroup = daemontest.SecureGroup + "move_tls yes\n"

// asker is a client of TLS by hand with one connection.
type asker struct {
	*tls.Conn
	br *bufio.Reader
	h2 *http2.ClientConn // nil for HTTP/1.1
}

func newAsker(t *testing.T, conn *tls.Conn) *asker {
	t.Helper()
	require.NoError(t, conn.HandshakeContext(t.Context()))
	a := &asker{Conn: conn, br: bufio.NewReader(conn)}
	if conn.ConnectionState().NegotiatedProtocol == "h2" {
		var err error
		a.h2, err = new(http2.Transport).NewClientConn(conn)
		require.NoError(t, err)
	}
	return a
}

// ask has the answer to a request, and reads it.
func (a *asker) ask(t *testing.T, req *http.Request) *http.Response {
	t.Helper()
	var resp *http.Response
	var err error
	if a.h2 != nil {
		resp, err = a.h2.RoundTrip(req)
	} else if err = req.Write(a); err == nil {
		resp, err = http.ReadResponse(a.br, req)
	}
	require.NoError(t, err)
	return resp
}

func (a *asker) post(t *testing.T, body string) (generation string) {
	t.Helper()
	a.SetDeadline(time.Now().Add(30 * time.Second))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://localhost/echo", strings.NewReader(body))
	require.NoError(t, err)
	resp := a.ask(t, req)
	got, err := io.ReadAll(resp.Body)
	if err != nil || string(got) != body || resp.Close {
		t.Fatalf("%s, %d bytes of %d, %v, close %v", resp.Status, len(got), len(body), err, resp.Close)
	}
	return resp.Header.Get("X-Gozd-Generation")
}

// TestNoNumberIsUsedTwice listens to a connection that moves many times: the servers, whichever they are, number their records from
// first to last without a number twice, and nothing that any of them writes elsewhere has the secrets.
func TestNoNumberIsUsedTwice(t *testing.T) {
	for _, proto := range []string{"http/1.1", "h2"} {
		t.Run(proto, func(t *testing.T) { countNumbers(t, proto) })
	}
}

func countNumbers(t *testing.T, proto string) {
	t.Helper()
	d := daemontest.Start(t, movingGroup)
	to := daemontest.Target(t, d, "secure")
	ear := eavesdrop(t, to.Address)
	log := new(keylog)
	conf := to.TLS.Clone()
	conf.ServerName, conf.KeyLogWriter, conf.NextProtos = "localhost", log, []string{proto}
	raw, err := net.Dial("tcp", ear.Addr().String())
	require.NoError(t, err)
	conn := tls.Client(raw, conf)
	defer conn.Close()
	a := newAsker(t, conn)
	var all []*daemonMemory
	for u := range 20 {
		if u%3 != 1 { // else it moves without having said anything
			a.post(t, strings.Repeat("x", 1+u*1000))
			if got := a.post(t, "y"); got != fmt.Sprint(u+1) {
				t.Fatalf("generation %s has answered, want %d", got, u+1)
			}
		}
		all = append(all, memoryOf(t, d))
		daemontest.Upgrade(t, d)
	}
	a.post(t, "z")
	secrets := map[string][]byte{}
	suite := conn.ConnectionState().CipherSuite
	var openers []*opener
	for _, label := range []string{"SERVER_TRAFFIC_SECRET_0", "CLIENT_TRAFFIC_SECRET_0"} {
		secrets[label] = log.secret(t, label)
		o := newOpener(t, suite, secrets[label])
		secrets[label+", key"], secrets[label+", iv"] = o.key, o.iv
		openers = append(openers, o)
	}
	conn.Close()
	require.Eventually(t, "closed by the server", func() bool { return isWhole(ear.fromServer.String()) })
	served, asked := wantNumbered(t, openers[0], ear.fromServer.String()), wantNumbered(t, openers[1], ear.fromClient.String())
	if served < 27 || asked < 27 {
		t.Errorf("%d and %d records were found, want one for each request at least", served, asked)
	}
	if got := ear.conns.Load(); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
	wantSecret(t, d, secrets, all)
}

// isWhole reports whether the stream does not end in the midst of a record.
func isWhole(stream string) bool {
	for len(stream) > 0 {
		if len(stream) < 5 {
			return false
		}
		n := 5 + int(binary.BigEndian.Uint16([]byte(stream[3:])))
		if len(stream) < n {
			return false
		}
		stream = stream[n:]
	}
	return true
}

// daemonMemory is what others can see of a process without asking it.
type daemonMemory struct{ environ, cmdline []byte }

func memoryOf(t *testing.T, d *daemon.Daemon) *daemonMemory {
	t.Helper()
	s, err := d.State()
	require.NoError(t, err)
	m := new(daemonMemory)
	m.environ, _ = os.ReadFile(fmt.Sprintf("/proc/%d/environ", s.PID))
	m.cmdline, _ = os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.PID))
	return m
}

// wantSecret looks for the secrets in all that the daemon has written and says.
func wantSecret(t *testing.T, d *daemon.Daemon, secrets map[string][]byte, processes []*daemonMemory) {
	t.Helper()
	places := make(map[string][]byte)
	for i, p := range processes {
		places[fmt.Sprintf("environment %d", i+1)], places[fmt.Sprintf("arguments %d", i+1)] = p.environ, p.cmdline
	}
	err := filepath.WalkDir(d.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || path == d.Binary {
			return err
		}
		places[path], err = os.ReadFile(path)
		return err
	})
	require.NoError(t, err)
	status, err := d.Status(t.Context())
	require.NoError(t, err)
	places["status"], err = json.Marshal(status)
	require.NoError(t, err)
	if len(places["status"]) == 0 || len(places[d.Log]) == 0 {
		t.Error("there is no status, or no log, to look into")
	}
	for where, text := range places {
		for which, secret := range secrets {
			for _, form := range [][]byte{
				secret, []byte(hex.EncodeToString(secret)), []byte(strings.ToUpper(hex.EncodeToString(secret))),
				[]byte(base64.RawStdEncoding.EncodeToString(secret)), []byte(base64.RawURLEncoding.EncodeToString(secret)),
				bytes.Trim(fmt.Append(nil, secret), "[]"),
			} {
				if bytes.Contains(text, form) {
					t.Errorf("%s has %s", where, which)
				}
			}
		}
	}
}

// TestKeptConnectionsByCurl has curl, with a TLS of its own, do all its requests on one connection through upgrades.
func TestKeptConnectionsByCurl(t *testing.T) {
	for _, proto := range []string{"--http1.1", "--http2"} {
		t.Run(proto, func(t *testing.T) { askByCurl(t, proto) })
	}
}

func askByCurl(t *testing.T, proto string) {
	t.Helper()
	curl := require.Tool(t, "curl", "package curl")
	d := daemontest.Start(t, movingGroup)
	url := "https://" + daemontest.Target(t, d, "secure").Address + "/echo"
	const requests = 300
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	body := strings.Repeat("x", 500)
	cmd := exec.CommandContext(ctx, curl, proto, "--insecure", "--silent", "--show-error", "--no-progress-meter", "--fail",
		"--rate", "50/s", "--data", body, "--write-out", "\n%{http_code} %{num_connects} %header{x-gozd-generation}\n", fmt.Sprintf("%s?[1-%d]", url, requests))
	var out, failed lockedbuf.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failed
	require.NoError(t, cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for ended := false; !ended; { // as often as there is time while it asks
		before := strings.Count(out.String(), "\n200 ")
		daemontest.Await(t, "answers", func() bool { return len(done) > 0 || strings.Count(out.String(), "\n200 ") > before+5 })
		if ended = len(done) > 0; !ended {
			daemontest.Upgrade(t, d)
		}
	}
	if err := <-done; err != nil || failed.String() != "" {
		t.Fatalf("curl: %v: %s", err, failed.String())
	}
	text := out.String()
	if n, first := strings.Count(text, "\n200 "), strings.Count(text, "\n200 1 "); n != requests || first != 1 {
		t.Errorf("%d answers and %d connections, want %d and 1", n, first, requests)
	}
	if !strings.Contains(text, "\n200 0 3\n") {
		t.Error("no third generation has answered")
	}
}
