package systemd

import (
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
)

// TestForkingUnit reloads and stops a daemon that detaches by itself and gives up root's rights: systemd follows the PID
// file, which each generation writes as the user.
func TestForkingUnit(t *testing.T) {
	onEach(t, func(t *testing.T, root string) {
		u := install(t, root, "app-forking.service", "", "")
		u.addr = freeport.Address(t)
		u.write("/etc/app/app.conf", "[gozd]\nuser nobody\n[web]\nmode http\nlisten "+u.addr+"\n")
		u.run("systemctl", "start", "app.service")
		u.underLoad(func() {
			for range 5 {
				u.reload(1)
				pid, _ := u.serving()
				u.await("followed", func() bool { return u.mainPID() == pid })
			}
		})
		if user := u.run("stat", "-c", "%U", "/run/app", "/run/app/app.pid"); user != "nobody\nnobody" {
			t.Errorf("the PID file and its directory belong to %q, want nobody", user)
		}
		slow := u.get(t, "/slow?d=2s")
		u.run("systemctl", "stop", "app.service")
		if answer := <-slow; !strings.Contains(answer, "200 OK") {
			t.Errorf("a request during the stop: %q", answer)
		}
		if state := u.show("ActiveState"); state != "inactive" {
			t.Errorf("after the stop the unit is %s", state)
		}
		if left := u.run("ls", "-A", "/run/app"); left != "" {
			t.Errorf("%s is left", left)
		}
	})
}
