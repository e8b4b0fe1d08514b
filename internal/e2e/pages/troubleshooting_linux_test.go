package pages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// Each command on the page about symptoms prints the words by which a reader finds them. A block is typed
// where app has been installed and configured; the words behind "console" say what is so besides.
func TestTroubleshooting(t *testing.T) {
	const page = "docs/troubleshooting.md"
	for _, b := range blocks(t, page) {
		what, ok := strings.CutPrefix(b.info, "console")
		if !ok {
			continue
		}
		t.Run(b.commands("$ ")[0].text, func(t *testing.T) {
			t.Parallel() // it mostly waits
			s := newSession(t)
			s.replace(nil, "/srv/app", ":8080", ":8081", ":6060")
			s.env = append(s.env, "PATH="+filepath.Dir(binaries.Gozdctl(t))+":"+os.Getenv("PATH"))
			program := binaries.Hello(t)
			if mistake, ok := strings.CutPrefix(what, " mistake: "); ok {
				program = binaries.Mistaken(t)
				s.write("mistake", mistake)
			}
			s.install(program)
			if what == " running" {
				s.run("./app")
			}
			b.info = "console"
			s.do(b)
			s.run("[ ! -e app.pid ] || gozdctl stop app.pid")
		})
	}
}

// install makes the files that the page on symptoms has in /srv/app.
func (s *session) install(program string) {
	s.t.Helper()
	for _, name := range []string{"app", "app.new"} {
		must(s.t, daemon.Install(program, filepath.Join(s.dir, name)))
	}
	text, err := os.ReadFile(filepath.Join(root, "examples/hello/app.conf"))
	must(s.t, err)
	s.write("app.conf", s.typed.Replace(strings.ReplaceAll(string(text), "hello.", "app.")))
	s.env = append(s.env, "GOZD_GOZD_UPGRADE_TIMEOUT=10s", "MISTAKEN_ADDRESS="+s.typed.Replace("127.0.0.1:6060"))
}
