package systemd

import (
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
)

// TestBadUpgrades has reloads of bad binaries and configurations fail, with their reason in the unit's status, while
// nobody notices; after each the next good one works.
func TestBadUpgrades(t *testing.T) {
	onEach(t, func(t *testing.T, root string) {
		listen := "listen " + freeport.Address(t)
		u := install(t, root, "app.service", listen, "")
		u.addr = strings.TrimPrefix(listen, "listen ")
		u.run("systemctl", "start", "app.service")
		main := u.mainPID()
		for _, tt := range []struct {
			name   string
			spoil  func()
			reason string
		}{
			{"crashing", func() { u.fault("panic") }, "late fault"},
			{"ending", func() { u.fault("exit early") }, "exit status 3"},
			{"hanging", func() { u.fault("hang") }, "not ready after 2s"},
			{"misconfigured", func() { u.configure(listen + "\nlisten_backlog 7") }, "unknown key"},
			{"missing", func() { u.run("rm", "/usr/local/bin/app") }, "no such file or directory"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				u := &unit{Machine: u.Machine, tb: t, dir: u.dir, addr: u.addr}
				before, number := u.serving()
				tt.spoil()
				u.underLoad(func() {
					if out, err := u.Exec("systemctl", "reload", "app.service"); err == nil {
						t.Errorf("reload succeeds: %s", out)
					}
				})
				if pid, n := u.serving(); pid != before || n != number {
					t.Errorf("generation %d, pid %d, serves, want %d, pid %d, as before", n, pid, number, before)
				}
				if status := u.status(); !strings.Contains(status, tt.reason) {
					t.Errorf("systemctl status does not say %q:\n%s", tt.reason, status)
				}
				u.wantWell(main)
				u.program("mixed")
				u.configure(listen)
				u.underLoad(func() { u.reload(1) })
				u.wantWell(main)
			})
		}
	})
}

// TestBadUpgradesOfOtherUnits has one in each of the other units. Of a unit with notify-reload the reload
// succeeds, and only the status has the reason; of one that detaches by itself only the journal has it.
func TestBadUpgradesOfOtherUnits(t *testing.T) {
	for _, tt := range []struct {
		file  string
		fails bool
		where func(u *unit) string // the reason is
	}{
		{"app-hardened.service", true, (*unit).status},
		{"app-notify-reload.service", false, (*unit).status},
		{"app-forking.service", true, (*unit).journal},
	} {
		t.Run(strings.TrimSuffix(tt.file, ".service"), func(t *testing.T) {
			onEach(t, func(t *testing.T, root string) {
				needsVersion(t, root, tt.file)
				addr := freeport.Address(t)
				u := install(t, root, tt.file, "listen "+addr, "")
				u.addr = addr
				u.run("systemctl", "start", "app.service")
				before, number := u.serving()
				u.fault("panic")
				u.underLoad(func() {
					if out, err := u.Exec("systemctl", "reload", "app.service"); (err != nil) != tt.fails {
						t.Errorf("reload: %v: %s", err, out)
					}
				})
				if pid, n := u.serving(); pid != before || n != number {
					t.Errorf("generation %d, pid %d, serves, want %d, pid %d, as before", n, pid, number, before)
				}
				if text := tt.where(u); !strings.Contains(text, "late fault") {
					t.Errorf("the reason is not told:\n%s", text)
				}
				u.program("mixed")
				u.underLoad(func() { u.reload(1) })
				if state := u.show("ActiveState"); state != "active" {
					t.Errorf("the unit is %s", state)
				}
			})
		})
	}
}

func (u *unit) status() string {
	u.tb.Helper()
	out, _ := u.Exec("systemctl", "status", "--no-pager", "-n", "0", "app.service") // its exit status is the unit's
	return out
}

func (u *unit) journal() string {
	u.tb.Helper()
	return u.run("journalctl", "--no-pager", "-o", "cat", "-u", "app.service")
}

// fault installs a program that fails in a certain way.
func (u *unit) fault(kind string) {
	u.write("/etc/app/fault", kind)
	u.program("faulty")
}

// TestFailedStart has systemctl start fail where the configuration is bad.
func TestFailedStart(t *testing.T) {
	u := install(t, suites[0].root(t), "app.service", "listen nowhere at all", "Restart=no")
	if out, err := u.Exec("systemctl", "start", "app.service"); err == nil {
		t.Errorf("start succeeds: %s", out)
	}
	if status := u.show("ExecMainStatus"); status != "1" {
		t.Errorf("the main process has ended with status %s, want 1", status)
	}
	if journal := u.run("journalctl", "--no-pager", "-o", "cat", "-u", "app.service"); !strings.Contains(journal, "app.conf:6: [web]: listen") {
		t.Errorf("the journal has no reason:\n%s", journal)
	}
}

// TestKilled kills what systemd watches, and what it does not: both times the daemon is started again. What is lost are the
// connections of the generation that was killed or, with its supervisor, had to end.
func TestKilled(t *testing.T) {
	for _, whom := range []string{"generation", "supervisor"} {
		t.Run(whom, func(t *testing.T) {
			onEach(t, func(t *testing.T, root string) {
				addr := freeport.Address(t)
				u := install(t, root, "app.service", "listen "+addr, "")
				u.run("systemctl", "start", "app.service")
				u.reload(1)
				main := u.mainPID()
				k := knock(t, addr)
				k.await(100)
				// As long as generation 1 stands by, it would serve again, and nothing would be restarted.
				u.await("alone", func() bool { return u.show("StatusText") == "generation 2 serving" })
				victim, _ := u.serving()
				if whom == "supervisor" {
					victim = main
				}
				u.run("kill", "-KILL", itoa(victim))
				u.await("restarted", func() bool { return u.show("NRestarts") == "1" && u.show("ActiveState") == "active" })
				k.mark()
				k.await(100)
				k.stop()
				k.tellLost()
				if pid := u.mainPID(); pid == main {
					t.Errorf("the main PID is still %d", pid)
				}
				if _, n := u.serving(); n != 1 {
					t.Errorf("generation %d serves after a restart", n)
				}
				if code := u.run("journalctl", "--no-pager", "-o", "cat", "-u", "app.service", "-g", "Main process exited"); !strings.Contains(code, "status=9/KILL") {
					t.Errorf("systemd says %q, want it to know of the signal", code)
				}
				u.await("without zombies", func() bool { return !strings.Contains(u.run("ps", "-e", "-o", "stat="), "Z") })
			})
		})
	}
}

// TestWatchdog has the watchdog bite when a generation hangs after an upgrade, and never before.
func TestWatchdog(t *testing.T) {
	onEach(t, func(t *testing.T, root string) {
		u := install(t, root, "app.service", "listen "+freeport.Address(t), "WatchdogSec=2\nTimeoutAbortSec=3")
		u.run("systemctl", "start", "app.service")
		main := u.mainPID()
		begin := time.Now()
		for range 10 {
			u.reload(1)
			time.Sleep(300 * time.Millisecond) // is what is tested: the watchdog's time passes
		}
		if took := time.Since(begin); took < 2*time.Second {
			t.Fatalf("ten reloads took %v, and the watchdog had no time to bite", took)
		}
		u.wantWell(main)
		pid, _ := u.serving()
		u.run("kill", "-STOP", itoa(pid))
		u.await("restarted by the watchdog", func() bool { return u.show("NRestarts") == "1" && u.show("ActiveState") == "active" })
		if journal := u.run("journalctl", "--no-pager", "-o", "cat", "-u", "app.service", "-g", "[Ww]atchdog timeout"); journal == "" {
			t.Error("systemd says nothing of its watchdog")
		}
	})
}
