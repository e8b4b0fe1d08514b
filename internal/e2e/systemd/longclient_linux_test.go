package systemd

import (
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
)

// TestReloadWithALongClient reloads each unit while a client asks for something that takes longer than systemd
// lets a reload take: the reload is over when the new generation serves, and the client keeps its own.
func TestReloadWithALongClient(t *testing.T) {
	for _, file := range []string{"app.service", "app-hardened.service", "app-notify-reload.service", "app-forking.service"} {
		t.Run(strings.TrimSuffix(file, ".service"), func(t *testing.T) {
			onEach(t, func(t *testing.T, root string) {
				needsVersion(t, root, file)
				addr := freeport.Address(t)
				u := install(t, root, file, "listen "+addr, "TimeoutStartSec=10")
				u.addr = addr
				if file == "app-forking.service" { // which finds its PID file where the user's is
					u.write("/etc/app/app.conf", "[gozd]\nuser nobody\n[web]\nmode http\nlisten "+addr+"\n")
				}
				u.run("systemctl", "start", "app.service")
				answer := u.get(t, "/slow?d=25s")
				u.reload(2)
				if state := u.show("ActiveState"); state != "active" {
					t.Errorf("the unit is %s", state)
				}
				select {
				case text := <-answer:
					t.Errorf("the client is answered before the time: %q", text)
				default:
				}
			})
		})
	}
}
