package supervise_test

import (
	"strings"
	"testing"
	"unicode"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
)

// FuzzEvent reads what any process of the service's user may have written to root's supervisor: the text of
// it is one line that can be shown.
func FuzzEvent(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "null", `{"v":1}`, `{"v":-1,"kind":"serving"}`, `{"v":1,"kind":"serving","generation":2,"start_time":18446744073709551615}`,
		`{"v":1,"kind":"failed","text":"a\nMAINPID=1\u001b[2J"}`, `{"v":2,"kind":"draining","within_ns":9223372036854775807,"stands_by":true}`,
		`{"v":1,"kind":"keeping","names":["web\nMAINPID=1",""],"within_ns":-9223372036854775808,"generation":-1}`, "\xff\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := supervise.DecodeEvent(data)
		if err != nil {
			return
		}
		wantOneLine(t, e.Text)
		// It changes nothing of what is known, unless the sender is a generation.
		var l supervise.Generations
		l.Spawned(7)
		l.Heard(8, e)
		if l.Serves() == 8 || l.Target() == 8 {
			t.Errorf("%q makes a stranger serve", data)
		}
		l.Heard(7, supervise.Event{Kind: supervise.Serving})
		l.Heard(7, e)
		status := l.Status()
		if wantOneLine(t, status); len(status) > 4<<10 {
			t.Errorf("the status has %d bytes", len(status))
		}
	})
}

// FuzzNotify reads lines that the program says to systemd: what goes on has one line, and is none of those that
// are the supervisor's to say.
func FuzzNotify(f *testing.F) {
	for _, seed := range []string{"", "WATCHDOG=trigger", "WATCHDOG=1", "MAINPID=1", "ERRNO=2", "EXTEND_TIMEOUT_USEC=99", "X_APP=7", "X_\n=1", "FDSTORE=1", "BUSERROR=\x1b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		wantOneLine(t, supervise.OneLine(line))
		if supervise.IsSocketName(line) && strings.ContainsAny(line, "\n: \x00") {
			t.Errorf("%q is the name of a socket", line)
		}
		if !supervise.Passable(line) {
			return
		}
		wantOneLine(t, line)
		name, _, _ := strings.Cut(line, "=")
		switch name {
		case "WATCHDOG", "ERRNO", "BUSERROR":
		default:
			if !strings.HasPrefix(name, "X_") {
				t.Errorf("%q goes to systemd", line)
			}
		}
		if line == "WATCHDOG=1" {
			t.Error("the program says that the daemon is alive")
		}
	})
}

func wantOneLine(t *testing.T, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, unicode.IsControl); i >= 0 {
		t.Errorf("%q has a control character at %d", text, i)
	}
}
