package systemd

import (
	"os"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
)

// TestReadme starts the unit and the configuration that the README shows, to the letter; only the port is another.
func TestReadme(t *testing.T) {
	onEach(t, func(t *testing.T, root string) {
		addr := freeport.Address(t)
		u := install(t, root, "app.service", "", "Environment=GOZD_WEB_LISTEN="+addr)
		u.addr = addr
		text, err := os.ReadFile("../../../examples/deploy/systemd/app.conf")
		must(t, err)
		u.write("/etc/app/app.conf", string(text))
		u.run("systemctl", "enable", "--now", "app.service")
		main := u.mainPID()
		u.underLoad(func() { u.reload(2) })
		u.wantWell(main)
		u.run("systemctl", "stop", "app.service")
		u.wantRefused(addr)
	})
}

// print installs what gozdctl prints for the configuration.
func (u *unit) print(flag string) {
	u.tb.Helper()
	u.run("sh", "-c", "gozdctl unit "+flag+" -c /etc/app/app.conf -- /usr/local/bin/app >/etc/systemd/system/app.service")
	u.run("systemctl", "daemon-reload")
}

// TestPrintedUnits has a log in /var/log/app, and the daemon become another user in two ways: by itself, and by DynamicUser.
// systemd gives directories of its own back to the unit's user at each reload, and the daemon has to be able to write there still.
func TestPrintedUnits(t *testing.T) {
	for name, tt := range map[string]struct{ flag, user string }{
		"root":     {"", ""},
		"user":     {"", "user nobody\n"},
		"hardened": {"--hardened", ""},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, root string) {
				u := install(t, root, "app.service", "", verbose)
				u.addr = freeport.Address(t)
				u.write("/etc/app/app.conf", "[gozd]\npidfile /run/app/app.pid\nlog /var/log/app/app.log\n"+tt.user+"[web]\nmode http\nlisten "+u.addr+"\n")
				u.print(tt.flag)
				u.run("systemctl", "start", "app.service")
				main := u.mainPID()
				u.underLoad(func() {
					u.reload(3)
					u.run("mv", "/var/log/app/app.log", "/var/log/app/app.log.1")
					u.run("systemctl", "kill", "-s", "USR1", "app.service")
					u.await("reopened", func() bool {
						_, err := u.Exec("test", "-e", "/var/log/app/app.log")
						return err == nil
					})
					u.reload(1)
				})
				u.wantWell(main)
				pid, _ := u.serving()
				owners := u.run("stat", "-L", "-c", "%u", "/proc/"+itoa(pid), "/run/app", "/run/app/app.pid", "/var/log/app", "/var/log/app/app.log", "/var/log/app/app.log.1")
				uid, _, _ := strings.Cut(owners, "\n")
				if owners != strings.TrimSpace(strings.Repeat(uid+"\n", 6)) || (uid == "0") != (name == "root") {
					t.Errorf("process and files belong to %q", owners)
				}
				for file, generation := range map[string]string{"app.log.1": "generation=4", "app.log": "generation=5"} {
					if text := u.run("cat", "/var/log/app/"+file); !strings.Contains(text, "msg=serving "+generation) {
						t.Errorf("%s has no line of %s:\n%s", file, generation, text)
					}
				}
				u.run("systemctl", "restart", "app.service")
				u.reload(1)
				u.run("systemctl", "stop", "app.service")
				if state := u.show("ActiveState"); state != "inactive" {
					t.Errorf("after the stop the unit is %s", state)
				}
			})
		})
	}
}

// TestPrintedSocket has a group without listen.
func TestPrintedSocket(t *testing.T) {
	onEach(t, func(t *testing.T, root string) {
		u := install(t, root, "app.service", "", "")
		u.addr = freeport.Address(t)
		u.write("/etc/app/app.conf", "[gozd]\npidfile /run/app/app.pid\n[web]\nmode http\n")
		u.print("")
		u.shipped("app.socket", "app.socket")
		u.run("sed", "-i", "s/^ListenStream=.*/ListenStream="+u.addr+"/", "/etc/systemd/system/app.socket")
		u.run("systemctl", "daemon-reload")
		u.run("systemctl", "start", "app.service") // Sockets= has the socket start before it
		u.underLoadOfNew(func() {
			u.reload(1)
			u.run("systemctl", "restart", "app.service")
		})
	})
}

// TestUserUnit has a user's own systemd run the daemon, of a user who is logged in nowhere.
func TestUserUnit(t *testing.T) {
	onEach(t, func(t *testing.T, root string) {
		u := install(t, root, "app.service", "", "")
		u.addr = freeport.Address(t)
		u.run("sh", "-c", "set -f; echo me:x:1234:1234::/home/me:/bin/sh >>/etc/passwd; echo me:x:1234: >>/etc/group; echo me:*:20000:::::: >>/etc/shadow")
		u.run("mkdir", "-p", "/home/me/.config/systemd/user", "/home/me/.config/app", "/home/me/.local/bin")
		u.shipped("app-user.service", "app.service")
		u.run("mv", "/etc/systemd/system/app.service", "/home/me/.config/systemd/user/app.service")
		u.run("cp", "/usr/local/bin/app", "/home/me/.local/bin/app")
		u.write("/home/me/.config/app/app.conf", "[web]\nmode http\nlisten "+u.addr+"\n")
		u.run("chown", "-R", "me:me", "/home/me")
		t.Cleanup(func() {
			if t.Failed() {
				out, _ := u.Exec("journalctl", "-n", "40", "--no-pager")
				t.Logf("journal:\n%s", out)
			}
		})
		u.run("mkdir", "/etc/systemd/system/user@1234.service.d")
		// As pam_systemd does, which the system of trixie has not.
		u.write("/etc/systemd/system/user@1234.service.d/test.conf", "[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/1234\n")
		u.run("systemctl", "daemon-reload")
		systemctl := func(args ...string) string {
			t.Helper()
			return u.run(append([]string{"setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", "env", "XDG_RUNTIME_DIR=/run/user/1234", "systemctl", "--user"}, args...)...)
		}
		u.run("systemctl", "start", "user@1234.service")
		systemctl("enable", "--now", "app.service")
		serving := func() string {
			return u.run("gozdctl", "status", "--json", "/run/user/1234/app.pid")
		}
		before := serving()
		u.underLoad(func() {
			systemctl("reload", "app.service")
			systemctl("reload", "app.service")
		})
		if after := serving(); !strings.Contains(after, `"generation":3`) || strings.Contains(before, `"generation":3`) {
			t.Errorf("after two reloads the status is %s, before %s", after, before)
		}
		slow := u.get(t, "/slow?d=2s")
		systemctl("stop", "app.service")
		if answer := <-slow; !strings.Contains(answer, "200 OK") {
			t.Errorf("a request during the stop: %q", answer)
		}
		u.wantRefused(u.addr)
	})
}
