package watched

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// holdBody has a request begin whose body never ends, in the generation that serves.
func holdBody(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	to, err := d.Target("web")
	must(t, err)
	conn, err := net.Dial(to.Network, to.Address)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprint(conn, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
	must(t, err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("the answer is %q, %v", line, err)
	}
	_, err = fmt.Fprint(conn, "abc")
	must(t, err)
}

// -s stop returns when the older generation that a client holds has ended, and then the supervisor, also where that is root's and the
// generations are not.
func TestStopAwaitsTheSupervisor(t *testing.T) {
	for name, options := range map[string][]string{"": {"supervise yes"}, "user nobody": {"supervise yes", "user nobody"}} {
		t.Run(name, func(t *testing.T) {
			dir := shortdir.Make(t)
			d, err := daemon.New(dir, binaries.Mixed(t), "[web]\nmode http\nlisten 127.0.0.1:0\nstop_timeout 1s\n", options...)
			must(t, err)
			if len(options) > 1 {
				must(t, os.Chmod(dir, 0o755))
				daemontest.GiveAway(t, d)
			}
			must(t, d.Start(t.Context()))
			t.Cleanup(func() { must(t, d.Stop(context.WithoutCancel(t.Context()))) })
			supervisor := parent(t, servingPID(t, d))
			if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", supervisor)); err != nil || filepath.Base(exe) != filepath.Base(d.Binary) {
				t.Fatalf("the parent of generation 1 is %s, %v", exe, err)
			}
			holdBody(t, d)
			upgrade(t, d, 1)
			must(t, daemon.Freeze(supervisor))
			goOn := func() { _ = syscall.Kill(supervisor, syscall.SIGCONT) }
			t.Cleanup(goOn)
			output, stopped := []byte(nil), make(chan error, 1)
			go func() {
				out, err := d.Command(t.Context(), "-s", "stop").CombinedOutput()
				output = out
				stopped <- err
			}()
			await(t, "the end of the generations", func() bool { return len(d.Alive()) == 0 || len(stopped) > 0 })
			if len(stopped) > 0 {
				t.Errorf("-s stop has returned while %d generations live, and the supervisor", len(d.Alive()))
			}
			goOn()
			err = <-stopped
			if is := state(supervisor); err != nil || is != "" && is != "Z" {
				t.Errorf("-s stop: %v, %s; the supervisor is %q", err, output, is)
			}
		})
	}
}
