package operating

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

// version asks who serves a group which of the two programs it is.
func version(t *testing.T, to load.Target) string {
	t.Helper()
	var who struct{ Version string }
	if err := json.Unmarshal(loadtest.Get(t, to, "/"), &who); err != nil {
		t.Fatal(err)
	}
	return who.Version
}

// TestLinkToAnotherRelease starts a daemon by a path with a symbolic link in it, as
// deployments have it. The release that the link names when an upgrade begins is
// the new binary, also if it is an older one.
func TestLinkToAnotherRelease(t *testing.T) {
	for _, tt := range []struct {
		name   string
		link   string // relative to the daemon's directory, like what follows
		binary string
		to     func(release string) string
	}{
		{"of the directory", "current", "current/mixed", func(release string) string { return "releases/" + release }},
		{"of the file", "app", "app", func(release string) string { return "releases/" + release + "/mixed" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := daemontest.Prepare(t, binaries.Mixed(t), daemontest.OnlyWeb)
			for release, program := range map[string]string{"41": binaries.Mixed(t), "42": binaries.Mixed2(t)} {
				dir := filepath.Join(d.Dir, "releases", release)
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := daemon.Install(program, filepath.Join(dir, "mixed")); err != nil {
					t.Fatal(err)
				}
			}
			d.Binary = filepath.Join(d.Dir, tt.binary)
			point(t, filepath.Join(d.Dir, tt.link), tt.to("41"))
			if err := d.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, release := range []struct{ name, version string }{{"42", "2"}, {"41", "1"}, {"42", "2"}} {
				point(t, filepath.Join(d.Dir, tt.link), tt.to(release.name))
				old, err := d.State()
				if err != nil {
					t.Fatal(err)
				}
				upgradeToBinary(t, d)
				daemontest.AwaitMoved(t, d, old.Generation, "web")
				if got := version(t, daemontest.Target(t, d, "web")); got != release.version {
					t.Errorf("release %s: version %s serves, want %s", release.name, got, release.version)
				}
			}
		})
	}
}

// upgradeToBinary upgrades, and checks that the new generation names the daemon's binary.
func upgradeToBinary(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	daemontest.Upgrade(t, d)
	s, err := d.State()
	if err != nil {
		t.Fatal(err)
	}
	if s.Binary != d.Binary {
		t.Errorf("the binary is %s, want %s", s.Binary, d.Binary)
	}
}

// point has the link name another file, by a rename.
func point(t *testing.T, link, to string) {
	t.Helper()
	if err := os.Symlink(to, link+".next"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".next", link); err != nil {
		t.Fatal(err)
	}
}

// TestRelativeBinary starts a daemon by a path that is not absolute; the program goes
// to another directory before it calls gozd. Upgrades find the binary all the same.
func TestRelativeBinary(t *testing.T) {
	for _, arg0 := range []string{"./faulty", "sub/../faulty", "faulty"} {
		for _, foreground := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s in the foreground %v", filepath.ToSlash(arg0), foreground), func(t *testing.T) {
				d := daemontest.Prepare(t, binaries.Faulty(t), daemontest.OnlyWeb)
				if err := os.Mkdir(filepath.Join(d.Dir, "sub"), 0o755); err != nil {
					t.Fatal(err)
				}
				daemontest.Fault("elsewhere early")(t, d)
				cmd := d.Command(t.Context())
				cmd.Args[0] = arg0
				cmd.Env = append(os.Environ(), "PATH="+d.Dir)
				daemontest.Begin(t, d, cmd, foreground)
				for range 2 {
					upgradeToBinary(t, d)
				}
			})
		}
	}
}
