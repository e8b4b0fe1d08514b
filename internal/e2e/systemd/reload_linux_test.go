package systemd

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/sysd"
)

// TestReload upgrades each shipped unit several times under load.
func TestReload(t *testing.T) {
	const reloads = 8
	for _, file := range []string{"app.service", "app-hardened.service", "app-notify-reload.service"} {
		t.Run(strings.TrimSuffix(file, ".service"), func(t *testing.T) {
			onEach(t, func(t *testing.T, root string) {
				needsVersion(t, root, file)
				addr := freeport.Address(t)
				u := install(t, root, file, "listen "+addr, verbose)
				u.addr = addr
				u.run("systemctl", "start", "app.service")
				main := u.mainPID()
				u.underLoad(func() {
					for range reloads {
						u.program("mixed") // the same file would leave the supervisor as it is
						u.reload(1)
					}
				})
				u.wantWell(main)
				u.await("drained", func() bool { return u.show("StatusText") == fmt.Sprintf("generation %d serving", reloads+1) })
				u.wantJournal(reloads + 1)
				u.wantSmall(main)
			})
		})
	}
}

// needsVersion skips units that a systemd does not know.
func needsVersion(t *testing.T, root, file string) {
	t.Helper()
	if strings.Contains(file, "notify-reload") && sysd.Version(t, root) < 253 {
		t.Skip("this systemd is older than this type of units")
	}
}

// verbose has each generation say that it serves.
const verbose = "ExecStart=\nExecStart=/usr/local/bin/app -f -v -c /etc/app/app.conf"

// reload checks that each reload returns only when a new generation serves.
func (u *unit) reload(n int) {
	u.tb.Helper()
	for range n {
		before, number := u.serving()
		u.run("systemctl", "reload", "app.service")
		pid, now := u.serving()
		if pid == before || now != number+1 {
			u.tb.Fatalf("after a reload generation %d, pid %d, serves; before it was %d, pid %d", now, pid, number, before)
		}
	}
}

// wantJournal looks for a line of each generation under the unit.
func (u *unit) wantJournal(generations int) {
	u.tb.Helper()
	pids := u.run("journalctl", "--no-pager", "-o", "verbose", "--output-fields=_PID", "-u", "app.service", "-g", "msg=serving")
	different := make(map[string]bool)
	for line := range strings.Lines(pids) {
		if pid, ok := strings.CutPrefix(strings.TrimSpace(line), "_PID="); ok {
			different[pid] = true
		}
	}
	if len(different) != generations {
		u.tb.Errorf("%d generations have lines in the unit's journal, want %d", len(different), generations)
	}
}

// wantSmall bounds the memory that the supervisor has for itself. What it maps of the binary the generations map too.
func (u *unit) wantSmall(pid int) {
	u.tb.Helper()
	const most = 6 << 10 // KiB
	var anon int
	line := u.run("grep", "RssAnon", fmt.Sprintf("/proc/%d/status", pid))
	if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &anon); err != nil {
		u.tb.Fatal(err)
	}
	u.tb.Logf("the supervisor has %d KiB for itself", anon)
	if anon > most {
		u.tb.Errorf("the supervisor has %d KiB, want at most %d", anon, most)
	}
}

// TestReloadsBackToBack asks for five upgrades at once: each is one, or is folded into a later one, and afterwards the
// newest binary serves.
func TestReloadsBackToBack(t *testing.T) {
	onEach(t, func(t *testing.T, root string) {
		addr := freeport.Address(t)
		u := install(t, root, "app.service", "listen "+addr, "")
		u.addr = addr
		u.run("systemctl", "start", "app.service")
		main := u.mainPID()
		u.underLoad(func() {
			var all sync.WaitGroup
			for range 5 {
				all.Go(func() {
					if out, err := u.Exec("systemctl", "reload", "app.service"); err != nil {
						t.Errorf("reload: %v\n%s", err, out)
					}
				})
			}
			all.Wait()
		})
		if _, n := u.serving(); n < 2 || n > 6 {
			t.Errorf("generation %d serves after five reloads", n)
		}
		u.wantWell(main)
	})
}
