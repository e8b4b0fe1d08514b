package systemd

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
)

// TestDatagramUnit has systemd open a socket for datagrams: through reloads and restarts each is answered once.
func TestDatagramUnit(t *testing.T) {
	onEach(t, func(t *testing.T, root string) {
		u := install(t, root, "app.service", "", "")
		u.addr = freeport.Address(t)
		u.program("udp")
		u.write("/etc/app/app.conf", "[gozd]\npidfile /run/app/app.pid\n[echo]\nmode udp\n")
		u.shipped("app.socket", "app.socket")
		u.run("mkdir", "-p", "/etc/systemd/system/app.socket.d")
		u.write("/etc/systemd/system/app.socket.d/test.conf", "[Socket]\nListenStream=\nListenDatagram="+u.addr+"\nFileDescriptorName=echo\n")
		u.run("systemctl", "daemon-reload")
		u.run("systemctl", "start", "app.socket")
		stop := u.askAll()
		u.await("active", func() bool { return u.show("ActiveState") == "active" })
		for range 2 {
			u.run("systemctl", "reload", "app.service")
			u.run("systemctl", "restart", "app.service")
		}
		if n := stop(); n == 0 {
			t.Error("nobody was answered")
		}
	})
}

// TestDatagramStore has systemd keep such a socket, which the daemon has opened itself.
func TestDatagramStore(t *testing.T) {
	onEach(t, func(t *testing.T, root string) {
		u := installStore(t, root, "")
		u.program("udp")
		u.store("yes", "[echo]\nmode udp\nlisten "+u.addr+"\n")
		u.run("systemctl", "start", "app.service")
		u.wantStored("1")
		stop := u.askAll()
		for range 2 {
			u.run("systemctl", "restart", "app.service")
			u.run("systemctl", "reload", "app.service")
		}
		if n := stop(); n == 0 {
			t.Error("nobody was answered")
		}
		u.wantStored("1")
		u.run("systemctl", "stop", "app.service")
		u.wantStored("0")
	})
}

// askAll has clients ask, each one question after the other, until stop is called, which returns how many were answered.
func (u *unit) askAll() (stop func() int64) {
	u.tb.Helper()
	var clients sync.WaitGroup
	var over atomic.Bool
	var answered atomic.Int64
	for range 4 {
		conn, err := net.Dial("udp", u.addr)
		must(u.tb, err)
		u.tb.Cleanup(func() { _ = conn.Close() })
		clients.Go(func() {
			for n := 0; !over.Load(); n++ {
				if err := ask(conn, n); err != nil {
					u.tb.Error(err)
					return
				}
				answered.Add(1)
			}
		})
	}
	return func() int64 {
		over.Store(true)
		clients.Wait()
		return answered.Load()
	}
}

func ask(conn net.Conn, n int) error {
	if _, err := fmt.Fprintf(conn, "question %d", n); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	b := make([]byte, 1<<10)
	read, err := conn.Read(b)
	if err != nil {
		return fmt.Errorf("question %d: %w", n, err)
	}
	generation, of := 0, -1
	if _, err := fmt.Sscanf(string(b[:read]), "generation %d: question %d", &generation, &of); err != nil || of != n {
		return fmt.Errorf("question %d is answered %q", n, b[:read])
	}
	return nil
}
