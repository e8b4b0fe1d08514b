package trust

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// rounds is how often root does all that it does in a directory that changes under its hands.
const rounds = 3

// bothWays are the lines of a configuration by which root becomes another user, and by which it does not.
var bothWays = map[string]string{
	"with user":    "user nobody\nsupervise no\n",
	"without user": "supervise no\n",
}

// configureIn has a service have all its files in one directory.
func (s *service) configureIn(t *testing.T, run, options string) {
	t.Helper()
	s.pidfile = filepath.Join(run, "app.pid")
	must(t, os.WriteFile(s.conf, []byte("[gozd]\npidfile "+s.pidfile+"\nlog "+run+"/app.log\n"+options+
		"[web]\nmode http\nlisten unix:"+run+"/web.sock\nsocket_mode 0666\n"), 0o644))
}

// TestSwappedDirectory has a directory below one of the service's user's be, from one moment to the next, a link to one of
// root's, while root starts, upgrades and stops a daemon whose files are there.
func TestSwappedDirectory(t *testing.T) {
	t.Parallel()
	for name, options := range bothWays {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCanary(t)
			s := newService(t, "", "")
			below := ownDir(t, filepath.Join(s.dir, "below"), nobody)
			run, link := ownDir(t, filepath.Join(below, "run"), nobody), filepath.Join(below, "link")
			must(t, os.Symlink(c.dir, link))
			must(t, os.Lchown(link, nobody, nobody))
			s.configureIn(t, run, options)
			swap := begin(t, nobody, nil, "swap", run, link)
			for range rounds {
				s.workIn(t)
			}
			swap.end()
			c.wantUnchanged(t)
		})
	}
}

// TestSwappedInOpenDirectory is the same in a directory like /tmp, where everybody may exchange what is his.
func TestSwappedInOpenDirectory(t *testing.T) {
	t.Parallel()
	for name, options := range bothWays {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCanary(t)
			s := newService(t, "", "")
			must(t, os.Chmod(s.dir, 0o1777))
			run := ownDir(t, s.run, nobody)
			must(t, os.Symlink(c.dir, filepath.Join(s.dir, "link")))
			must(t, os.Lchown(filepath.Join(s.dir, "link"), nobody, nobody))
			s.configureIn(t, run, options)
			swap := begin(t, nobody, nil, "swap", run, filepath.Join(s.dir, "link"))
			for range rounds {
				s.workIn(t)
			}
			swap.end()
			c.wantUnchanged(t)
		})
	}
}

// workIn has root do what it does with a daemon. Most of it fails, and nothing hangs.
func (s *service) workIn(t *testing.T) {
	t.Helper()
	daemon.AdoptOrphans()
	t.Cleanup(func() { endAll(t, s.dir) })
	tool := binaries.Gozdctl(t)
	for _, cmd := range []*exec.Cmd{
		s.command(), exec.Command(tool, "upgrade", "--no-wait-drain", "--timeout", "2s", s.pidfile), exec.Command(tool, "stop", "--timeout", "2s", s.pidfile),
	} {
		if o := run(cmd); o.hung {
			t.Errorf("%s hangs", strings.Join(cmd.Args, " "))
		}
	}
	killAll(s.dir)
}

// TestPlantedFiles has the service's user put links to root's files in the place of a daemon's, as soon as
// these appear.
func TestPlantedFiles(t *testing.T) {
	t.Parallel()
	for name, options := range bothWays {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCanary(t)
			for _, file := range []string{"app.pid", "app.pid.lock", "app.pid.state", "app.log", "web.sock"} {
				s := newService(t, "", "")
				run := ownDir(t, s.run, nobody)
				s.configureIn(t, run, options)
				plant := begin(t, nobody, nil, "plant", filepath.Join(c.dir, file), filepath.Join(run, file))
				for range rounds {
					s.workIn(t)
					_ = os.Remove(filepath.Join(run, file)) // or it would only be the first time that something is planted
				}
				plant.end()
				c.wantUnchanged(t)
			}
		})
	}
}

// TestReplacedSocket has a user whose directory a daemon of root's has its socket in put a link to a file of root's in its place: an
// upgrade sets the socket's mode and owner, and nothing else's.
func TestReplacedSocket(t *testing.T) {
	t.Parallel()
	for name, form := range map[string]func(target, path string) error{"symbolic link": os.Symlink, "hard link": os.Link} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCanary(t)
			s := newService(t, "pidfile app.pid\nsupervise yes\n", onlyWeb+"[side]\nmode tcp\nlisten unix:run/web.sock\nsocket_mode 0666\nsocket_owner nobody\n")
			s.pidfile = filepath.Join(s.dir, "app.pid")
			ownDir(t, s.run, nobody)
			s.start(t)
			path := filepath.Join(s.run, "web.sock")
			must(t, os.Remove(path))
			must(t, form(filepath.Join(c.dir, "shadow"), path))
			c.before = c.snapshot(t) // a hard link counts
			_, _ = exec.Command(binaries.Gozdctl(t), "upgrade", "--no-wait-drain", s.pidfile).CombinedOutput()
			c.wantUnchanged(t)
			s.wantTERM(t)
			c.wantUnchanged(t)
		})
	}
}
