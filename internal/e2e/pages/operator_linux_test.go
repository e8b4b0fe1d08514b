package pages

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// An upgrade with a probation, and twelve clients that stay, prints what the page on gozdctl says.
func TestGozdctlPage(t *testing.T) {
	s, address := newOperator(t, "probation 1s\n[web]\nmode http\n")
	for range 12 {
		idleClient(t, address)
	}
	s.commandsOf("docs/gozdctl.md")
}

// gozdctl takes renewed certificates as the page on connections says.
func TestConnectionsPage(t *testing.T) {
	s, _ := newOperator(t, "[web]\nmode https\nkey key.pem\ncert cert.pem\n")
	must(t, daemon.WriteKeyPair(s.dir)) // the same names, and another key
	s.commandsOf("docs/connections.md")
}

// newOperator starts a daemon whose PID file the pages call /run/app.pid, and returns the address of its group web, which comes last in
// the configuration.
func newOperator(t *testing.T, config string) (s *session, address string) {
	t.Helper()
	s = newSession(t)
	s.replace(nil, "/run", ":8080")
	address = s.typed.Replace("127.0.0.1:8080")
	s.env = append(s.env, "PATH="+filepath.Dir(binaries.Gozdctl(t))+":"+os.Getenv("PATH"))
	must(t, daemon.Install(binaries.Hello(t), filepath.Join(s.dir, "app")))
	must(t, daemon.WriteKeyPair(s.dir))
	s.write("app.conf", "[gozd]\npidfile app.pid\nlog app.log\n"+config+"listen "+address+"\n")
	s.run("./app")
	return s, address
}

// commandsOf types what a page shows, and stops the daemon.
func (s *session) commandsOf(page string) {
	s.t.Helper()
	for _, b := range blocks(s.t, page) {
		if b.info == "console" {
			s.do(b)
		}
	}
	s.run("gozdctl stop app.pid")
}

// idleClient has a connection that has had an answer, and stays open until the test ends.
func idleClient(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
}
