package systemd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
)

// installStore is install with the drop-in for systemd's file descriptor store, and a group web on u.addr.
func installStore(t *testing.T, root, service string) *unit {
	t.Helper()
	u := install(t, root, "app.service", "", service)
	u.shipped("fdstore.conf", "app.service.d/fdstore.conf")
	if !strings.Contains(service, "StartLimit") { // or a fast machine would start it too often for systemd
		u.write("/etc/systemd/system/app.service.d/limit.conf", "[Unit]\nStartLimitIntervalSec=0\n")
	}
	u.run("systemctl", "daemon-reload")
	u.addr = freeport.Address(t)
	u.store("yes", "[web]\nmode http\nlisten "+u.addr+"\n")
	return u
}

// store configures the daemon.
func (u *unit) store(fdstore, groups string) {
	u.write("/etc/app/app.conf", "[gozd]\npidfile /run/app/app.pid\nupgrade_timeout 2s\nfdstore "+fdstore+"\n"+groups)
}

// wantStored checks how many sockets systemd keeps.
func (u *unit) wantStored(n string) {
	u.tb.Helper()
	// systemd reads what it is told after it has been written.
	u.await(n+" sockets kept", func() bool { return u.show("NFileDescriptorStore") == n })
}

// wantRefused checks that nobody listens.
func (u *unit) wantRefused(address string) {
	u.tb.Helper()
	c, err := net.Dial(networkOf(address), address)
	if err == nil {
		_ = c.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		u.tb.Errorf("a client of %s is told %v, want that nobody listens", address, err)
	}
}

// TestStoreRestart restarts and reloads a daemon whose sockets systemd keeps, under load, and stops it.
func TestStoreRestart(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			onEach(t, func(t *testing.T, root string) {
				u := installStore(t, root, "")
				if network == "unix" {
					u.addr = filepath.Join(u.dir, "x.sock")
					u.store("yes", "[web]\nmode http\nlisten "+u.addr+"\n")
				}
				u.run("systemctl", "start", "app.service")
				u.wantStored("1")
				u.underLoadOfNew(func() {
					for range 3 {
						u.run("systemctl", "restart", "app.service")
					}
					u.reload(2)
					u.run("systemctl", "restart", "app.service")
					u.reload(1)
				})
				u.wantStored("1")
				u.wantSmall(u.mainPID())
				u.run("systemctl", "stop", "app.service")
				u.wantStored("0")
				u.wantRefused(u.addr)
				u.run("systemctl", "start", "app.service")
				u.underLoadOfNew(func() { u.reload(1) })
			})
		})
	}
}

// TestStoreStop has a client come while the daemon drains at a stop: it waits, since it might be a restart, and is told when
// the unit has stopped.
func TestStoreStop(t *testing.T) {
	onEach(t, func(t *testing.T, root string) {
		u := installStore(t, root, "")
		u.run("systemctl", "start", "app.service")
		u.wantStored("1")
		slow := u.get(t, "/slow?d=8s") // long enough for the late one to come meanwhile
		u.run("systemctl", "stop", "--no-block", "app.service")
		u.await("stopping", func() bool { return strings.HasPrefix(u.show("StatusText"), "stopping") })
		late := u.get(t, "/")
		if answer := <-slow; !strings.Contains(answer, "200 OK") {
			t.Errorf("a request during the stop: %q", answer)
		}
		if answer := <-late; !strings.Contains(answer, "reset by peer") {
			t.Errorf("who came during the stop is told %q, want a reset", answer)
		}
		u.await("stopped", func() bool { return u.show("ActiveState") == "inactive" })
		u.wantStored("0")
		u.wantRefused(u.addr)
	})
}

// TestStoreKilled kills the daemon while clients connect: those that do when it is gone wait until it is
// back. Only those that it had accepted are cut.
func TestStoreKilled(t *testing.T) {
	for _, whom := range []string{"supervisor", "all"} {
		t.Run(whom, func(t *testing.T) {
			onEach(t, func(t *testing.T, root string) {
				u := installStore(t, root, "Restart=always\nRestartSec=500ms")
				u.run("systemctl", "start", "app.service")
				u.reload(1)
				u.wantStored("1")
				k := knock(t, u.addr)
				k.await(100)
				main := u.mainPID()
				generation, _ := u.serving()
				if whom == "all" {
					u.run("systemctl", "kill", "-s", "KILL", "app.service")
				} else {
					u.run("kill", "-KILL", itoa(main))
				}
				u.await("dead", func() bool {
					_, err := u.Exec("sh", "-c", fmt.Sprintf("kill -0 %d || kill -0 %d", main, generation))
					return err != nil
				})
				k.mark()
				u.await("restarted", func() bool { return u.show("NRestarts") == "1" && u.show("ActiveState") == "active" })
				k.await(200)
				k.stop()
				if n := k.tellLost(); n > 0 {
					t.Errorf("%d clients were refused, want that they wait", n)
				}
				u.wantStored("1")
				u.underLoadOfNew(func() { u.reload(1) })
			})
		})
	}
}

// TestStoreFollowsUpgrades has upgrades add, change and remove addresses, and switch the store off. After each a
// crash shows what is really kept. It takes a start to switch it on.
func TestStoreFollowsUpgrades(t *testing.T) {
	onEach(t, func(t *testing.T, root string) {
		u := installStore(t, root, "Restart=always")
		one, two, path := u.addr, freeport.Address(t), filepath.Join(u.dir, "x.sock")
		every := "0.0.0.0" + strings.TrimPrefix(one, "127.0.0.1")
		u.run("systemctl", "start", "app.service")
		u.wantStored("1")
		for _, step := range []struct {
			what             string
			fdstore          string
			web, plain       string
			answers, refuses []string
			kept             string // how many are, after the upgrade; if empty, as after the crash
			after            string // that, and the start which follows
		}{
			{what: "added", fdstore: "yes", web: one, plain: two, answers: []string{one, two}, after: "2"},
			{what: "changed", fdstore: "yes", web: every, plain: path, answers: []string{one, path}, refuses: []string{two}, after: "2"},
			{what: "changed back", fdstore: "yes", web: one, plain: two, answers: []string{one, two}, after: "2"},
			{what: "swapped", fdstore: "yes", web: two, plain: one, answers: []string{one, two}, after: "2"},
			{what: "off", fdstore: "no", web: two, plain: one, answers: []string{one, two}, after: "0"},
			{what: "on", fdstore: "yes", web: two, plain: one, answers: []string{one, two}, kept: "0", after: "2"},
			{what: "removed", fdstore: "yes", web: one, answers: []string{one}, refuses: []string{two}, after: "1"},
		} {
			u.store(step.fdstore, sections(step.web, step.plain))
			u.reload(1)
			u.await(step.what, func() bool { return u.show("NFileDescriptorStore") == cmp.Or(step.kept, step.after) })
			u.wantServed(step.answers, step.refuses)
			u.crash()
			u.wantStored(step.after)
			u.wantServed(step.answers, step.refuses)
		}
	})
}

// sections are those of two groups, the second without an address none.
func sections(web, plain string) string {
	text := "[web]\nmode http\nlisten " + web + "\n"
	if plain != "" {
		text += "[plain]\nmode http\nlisten " + plain + "\n"
	}
	return text
}

// crash has systemd start the daemon again.
func (u *unit) crash() {
	u.tb.Helper()
	main := u.mainPID()
	u.run("systemctl", "kill", "-s", "KILL", "app.service")
	u.await("restarted", func() bool { return u.mainPID() != main && u.show("ActiveState") == "active" })
}

func (u *unit) wantServed(answers, refuses []string) {
	u.tb.Helper()
	for _, address := range answers {
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, networkOf(address), address)
		}}, Timeout: patience}
		resp, err := c.Get("http://app/")
		must(u.tb, err)
		_ = resp.Body.Close()
	}
	for _, address := range refuses {
		u.wantRefused(address)
	}
}

// TestStoreOfAnotherConfiguration starts the daemon anew with other addresses than those of the sockets that are
// kept: these end.
func TestStoreOfAnotherConfiguration(t *testing.T) {
	onEach(t, func(t *testing.T, root string) {
		u := installStore(t, root, "")
		one, two, path := u.addr, freeport.Address(t), filepath.Join(u.dir, "x.sock")
		every := "0.0.0.0" + strings.TrimPrefix(one, "127.0.0.1")
		u.store("yes", sections(one, path))
		u.run("systemctl", "start", "app.service")
		u.wantStored("2")
		for _, step := range []struct {
			web, plain, fdstore string
			answers, refuses    []string
			after               string
		}{
			{every, two, "yes", []string{one, two}, nil, "2"},
			{one, path, "yes", []string{one, path}, []string{two}, "2"},
			{path, two, "yes", []string{path, two}, []string{one}, "2"},
			{path, "", "no", []string{path}, []string{two}, "0"},
			{path, one, "yes", []string{path, one}, nil, "2"},
		} {
			u.store(step.fdstore, sections(step.web, step.plain))
			u.run("systemctl", "restart", "app.service")
			u.wantStored(step.after)
			u.wantServed(step.answers, step.refuses)
		}
		// A file that is gone, and a client would find nothing at.
		u.run("systemctl", "stop", "app.service")
		u.run("systemctl", "start", "app.service")
		u.wantStored("2")
		u.run("rm", path)
		u.run("systemctl", "restart", "app.service")
		u.wantStored("2")
		u.wantServed([]string{path, one}, nil)
	})
}

// TestStoreOfFailedStarts has clients wait as long as systemd tries to start the daemon again, and no longer.
func TestStoreOfFailedStarts(t *testing.T) {
	onEach(t, func(t *testing.T, root string) {
		u := installStore(t, root, "RestartSec=1s\n[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=3")
		u.run("systemctl", "start", "app.service")
		u.wantStored("1")
		good := "[web]\nmode http\nlisten " + u.addr + "\n"
		u.store("yes", good+"nonsense 1\n")
		_, err := u.Exec("systemctl", "restart", "app.service")
		if err == nil {
			t.Error("a restart with a bad configuration succeeds")
		}
		waiting := u.get(t, "/")
		u.store("yes", good)
		if answer := <-waiting; !strings.Contains(answer, "200 OK") {
			t.Errorf("a client between two starts is told %q", answer)
		}
		u.await("active", func() bool { return u.show("ActiveState") == "active" })

		u.run("systemctl", "reset-failed", "app.service") // the limit counts anew
		u.store("yes", good+"nonsense 1\n")
		_, _ = u.Exec("systemctl", "restart", "app.service") // it fails, as above
		waiting = u.get(t, "/")
		u.await("failed", func() bool { return u.show("ActiveState") == "failed" })
		if answer := <-waiting; strings.Contains(answer, "200 OK") || strings.Contains(answer, "timeout") {
			t.Errorf("a client whose daemon does not come back is told %q, want the connection's end", answer)
		}
		u.wantStored("0")
		u.wantRefused(u.addr)
		u.store("yes", good)
		u.run("systemctl", "reset-failed", "app.service")
		u.run("systemctl", "start", "app.service")
		u.wantServed([]string{u.addr}, nil)
	})
}

// TestStoreMissing has a unit that keeps nothing, or too few: systemd says so once for each socket, and nothing else is other
// than without fdstore.
func TestStoreMissing(t *testing.T) {
	for name, most := range map[string]int{"none": 0, "too few": 1} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, root string) {
				u := installStore(t, root, "")
				u.run("sed", "-i", "s/^FileDescriptorStoreMax=.*/FileDescriptorStoreMax="+itoa(most)+"/", "/etc/systemd/system/app.service.d/fdstore.conf")
				u.run("systemctl", "daemon-reload")
				u.store("yes", sections(u.addr, freeport.Address(t)))
				u.run("systemctl", "start", "app.service")
				main := u.mainPID()
				u.underLoad(func() { u.reload(2) })
				u.wantWell(main)
				u.wantStored(itoa(most))
				journal := u.run("journalctl", "--no-pager", "-o", "cat", "-u", "app.service")
				if n := strings.Count(journal, "Cannot store more fds than FileDescriptorStoreMax="); n != 2-most {
					t.Errorf("the journal says %d times that the unit lacks a setting, want %d times:\n%s", n, 2-most, journal)
				}
				u.run("systemctl", "restart", "app.service")
				u.wantServed([]string{u.addr}, nil)
				u.run("systemctl", "stop", "app.service")
				u.wantRefused(u.addr)
			})
		})
	}
}
