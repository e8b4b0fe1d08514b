package trust

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// attacksOnNotify are what a user sends to a notify socket to keep the supervisor from its work.
var attacksOnNotify = map[string][]string{
	"flood":       {"-flood"},
	"descriptors": {"-flood", "-with", "files"},
	"linger":      {"-with", "linger"},
	"many linger": {"-flood", "-with", "linger"},
}

// TestNotifyFlooded has the service's user do to the notify socket what keeps a reader busy: the supervisor goes on.
func TestNotifyFlooded(t *testing.T) {
	t.Parallel()
	for name, args := range attacksOnNotify {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := listenAsManager(t)
			s := newWatched(t, m, asNobody, onlyWeb)
			s.start(t)
			m.await(t, "READY=1")
			args := append(append([]string{"notify"}, args...), notifySocket(t, s), "WATCHDOG=1\nMAINPID=1\nSTOPPING=1")
			begin(t, nobody, nil, args...)
			time.Sleep(settle)
			s.wantUnharmed(t)
			if n := descriptors(t, s.front.Process.Pid); n > 600 {
				t.Errorf("the supervisor has %d descriptors", n)
			}
			s.wantTERM(t)
			m.wantClean(t)
		})
	}
}

// TestNotifyStrangers has a third user try to reach the notify socket.
func TestNotifyStrangers(t *testing.T) {
	t.Parallel()
	m := listenAsManager(t)
	s := newWatched(t, m, asNobody, onlyWeb)
	s.start(t)
	for range 2 {
		if _, said := attack(t, stranger, nil, "notify", notifySocket(t, s), "STATUS=here"); !strings.Contains(said, "permission denied") {
			t.Errorf("a third user reaches the notify socket: %q", said)
		}
		s.upgrade(t)
	}
	s.wantTERM(t)
	m.wantClean(t)
}

// TestNotifyOfTheService has the service's own process say what is systemd's to know, and what is not its to say.
func TestNotifyOfTheService(t *testing.T) {
	t.Parallel()
	m := listenAsManager(t)
	s := newWatched(t, m, asNobody, onlyWeb)
	s.start(t)
	s.upgrade(t)
	for _, text := range []string{
		"STATUS=fine", "MAINPID=1", "STOPPING=1", "READY=1\nMAINPID=1", "STATUS=a\rb\x1b[2J\u009b1m\x00\x7f", "STATUS=\xff\xfe", "STATUS=" + strings.Repeat("x", 1<<16),
		"ERRNO=1\x1b[2J", "BUSERROR=\x1b]0;x\a", "EXTEND_TIMEOUT_USEC=999999999999999999999999", "EXTEND_TIMEOUT_USEC=\x1b", "X_\x1b=1", "X_A=\x00",
		"FDSTOREREMOVE=1\nFDNAME=x", "WATCHDOG_USEC=1", "BARRIER=1", "\n\n\n", "=", "NOTIFYACCESS=all", strings.Repeat("X_A=1\n", 5000),
		strings.Repeat("STATUS=x\n", 400), "STATUS=" + strings.Repeat("x", 3000) + "\n" + strings.Repeat("STATUS=y\n", 100),
	} {
		s.ask(t, "/notify", url.Values{"text": {text}})
	}
	s.ask(t, "/notify", url.Values{"text": {"STATUS=last words"}})
	m.await(t, "last words")
	s.wantTERM(t)
	m.wantClean(t)
}

// TestNamesForSystemd has the serving generation name sockets for systemd so that the name is more than one.
func TestNamesForSystemd(t *testing.T) {
	t.Parallel()
	m := listenAsManager(t)
	s := newWatched(t, m, asNobody+"fdstore yes\n", onlyWeb)
	s.start(t)
	m.await(t, "FDSTORE=1")
	for _, name := range []string{`x\nMAINPID=1234`, `x\u0000`, `x:y`, `\u001b[2J`, strings.Repeat("x", 4000), ``} {
		s.ask(t, "/speak", url.Values{"files": {"1"}, "text": {`{"v":1,"kind":"keeping","generation":1,"names":["` + name + `"]}`}})
	}
	s.wantUnharmed(t)
	s.wantTERM(t)
	m.wantClean(t)
	for _, message := range m.heard() {
		if name, stored := strings.CutPrefix(message, "FDSTORE=1\nFDNAME="); stored && !strings.HasPrefix(name, "gozd") {
			t.Errorf("systemd is to keep %q", name)
		}
	}
}
