package systemd

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
)

// installOverlapping boots a machine with a unit whose program does what clients of group line ask for.
func installOverlapping(t *testing.T) *unit {
	t.Helper()
	addr := freeport.Address(t)
	u := install(t, suites[0].root(t), "app.service", "listen "+addr, "")
	u.addr = addr
	u.write("/etc/app/app.conf", "[gozd]\npidfile /run/app/app.pid\n[line]\nmode tcp\nlisten "+addr+"\nstop_timeout 100ms\n")
	u.program("overlapping")
	u.run("systemctl", "start", "app.service")
	return u
}

// say has the program do something, and returns its answer without the generation; "" if it has ended.
func (u *unit) say(line string) string {
	u.tb.Helper()
	conn, err := net.Dial("tcp", u.addr)
	must(u.tb, err)
	defer func() { _ = conn.Close() }()
	must(u.tb, conn.SetDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprintln(conn, line)
	must(u.tb, err)
	text, _ := bufio.NewReader(conn).ReadString('\n')
	_, answer, _ := strings.Cut(strings.TrimSpace(text), " ")
	return answer
}

// TestProgramsEnd has a program end by itself: systemd starts it again, but not after status 0. A child process that nobody ends lives on over a
// reload, but not over a stop.
func TestProgramsEnd(t *testing.T) {
	t.Parallel()
	u := installOverlapping(t)
	u.say("exit")
	u.await("started again", func() bool { return u.show("NRestarts") == "1" && u.show("ActiveState") == "active" })
	child := u.say("child never")
	u.reload(1)
	if state := u.run("ps", "-o", "stat=,args=", "-p", child); !strings.Contains(state, "sleep") {
		t.Errorf("after the reload pid %s is %q, want that it sleeps", child, state)
	}
	u.run("systemctl", "stop", "app.service")
	if state, err := u.Exec("ps", "-o", "stat=,args=", "-p", child); err == nil {
		t.Errorf("after the stop pid %s is there: %s", child, state)
	}
	u.run("systemctl", "start", "app.service")
	u.say("return")
	u.await("inactive", func() bool { return u.show("ActiveState") == "inactive" })
	if result := u.show("Result"); result != "success" {
		t.Errorf("the unit's result is %s", result)
	}
}
