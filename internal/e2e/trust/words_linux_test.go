package trust

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
)

// hostileWords are what a new generation says when it ends.
var hostileWords = []string{
	"\x1b[2J\x1b]0;owned\a\u009b31m\x7f\r\b\x00\nMAINPID=1\nREADY=1\n\xff\xfe\x80\u202e\u2066\u2028\u2029\u0085\v\f",
	strings.Repeat("\x1b[31m", 13000),
}

// wantPlain checks that nothing in a text does anything to a terminal.
func wantPlain(t *testing.T, what, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s is no UTF-8: %.300q", what, text)
	}
	i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) })
	if i >= 0 {
		t.Errorf("%s has a control character: %.300q", what, text[max(0, i-20):])
	}
}

// wantUpgradeFails has the next generation end with these words, and looks at what root is told.
func (s *service) wantUpgradeFails(t *testing.T, words string) {
	t.Helper()
	path := filepath.Join(s.dir, "words")
	must(t, os.WriteFile(path, []byte(words), 0o644))
	defer func() { _ = os.Remove(path) }()
	tool := binaries.Gozdctl(t)
	for _, cmd := range []*exec.Cmd{exec.Command(tool, "upgrade", s.pidfile), s.command("-s", "reload")} {
		output, err := cmd.CombinedOutput()
		if err == nil {
			t.Errorf("%v: the upgrade succeeds", cmd.Args[1:])
		}
		wantPlain(t, strings.Join(cmd.Args[1:], " "), string(output))
	}
	for _, args := range [][]string{{"status"}, {"status", "--json"}} {
		output, err := exec.Command(tool, append(args, s.pidfile)...).CombinedOutput()
		must(t, err)
		wantPlain(t, strings.Join(args, " "), string(output))
	}
}

// TestWordsOfAFailure has upgrades fail with words that are made for the operator's terminal, and would be more
// than a status to systemd.
func TestWordsOfAFailure(t *testing.T) {
	t.Parallel()
	m := listenAsManager(t)
	s := newWatched(t, m, asNobody, onlyWeb)
	s.start(t)
	for _, words := range hostileWords {
		s.wantUpgradeFails(t, words)
	}
	s.wantTERM(t)
	m.wantClean(t)
}

// TestWordsOfAStart has a first generation, which is root no more, end so.
func TestWordsOfAStart(t *testing.T) {
	t.Parallel()
	for _, supervise := range []string{"yes", "no"} {
		t.Run("supervise "+supervise, func(t *testing.T) {
			t.Parallel()
			s := newService(t, "pidfile run/app.pid\nuser nobody\nsupervise "+supervise+"\n", onlyWeb)
			for _, words := range hostileWords {
				must(t, os.WriteFile(filepath.Join(s.dir, "words"), []byte(words), 0o644))
				for _, cmd := range []*exec.Cmd{s.command("-v"), exec.Command(binaries.Gozdctl(t), "start", "--", s.binary, "-c", s.conf)} {
					cmd.Dir = s.dir
					output, err := cmd.CombinedOutput()
					if err == nil {
						t.Errorf("%v: it starts", cmd.Args)
					}
					wantPlain(t, strings.Join(cmd.Args, " "), string(output))
				}
			}
		})
	}
}

// TestWordsInNames has paths with control characters.
func TestWordsInNames(t *testing.T) {
	t.Parallel()
	s := newService(t, asNobody, onlyWeb)
	s.start(t)
	const name = "\x1b[2J\u009b\x7f\nMAINPID=1\xff"
	for _, args := range [][]string{
		{"status", name},
		{"upgrade", name},
		{"stop", name},
		{"check", name},
		{"logs", name},
		{name},
		{"status", "--" + name},
		{"status", "-c", name},
		{"start", "--", name},
		{"start", "--", "/bin/sh", "-c", "printf '\\033[2J\\377' >&2; exit 1"},
	} {
		output, err := exec.Command(binaries.Gozdctl(t), args...).CombinedOutput()
		if err == nil {
			t.Errorf("gozdctl %q succeeds", args)
		}
		wantPlain(t, "gozdctl "+strconv.Quote(strings.Join(args, " ")), string(output))
	}
	for _, args := range [][]string{{"-c", name}, {"-s", name}, {"-t", "-c", name}, {"-s", "stop", "-c", name}} {
		cmd := exec.Command(s.binary, args...)
		cmd.Dir = s.dir
		output, err := cmd.CombinedOutput()
		if err == nil {
			t.Errorf("app %q succeeds", args)
		}
		wantPlain(t, "app "+strconv.Quote(strings.Join(args, " ")), string(output))
	}
	s.wantTERM(t)
}

// TestLastWordsInAFileOfRoots has a generation put a file of root's in the place of its log, and die at its start: what it has written
// to its standard error is for the log.
func TestLastWordsInAFileOfRoots(t *testing.T) {
	t.Parallel()
	s := newService(t, "pidfile run/app.pid\nuser nobody\nlog run/app.log\n", onlyWeb)
	s.cwd = s.dir
	ownDir(t, s.run, nobody)
	must(t, os.WriteFile(filepath.Join(s.dir, "words"), []byte("the last words"), 0o644))
	const was = "root's own\n"
	must(t, os.WriteFile(filepath.Join(s.run, "roots"), []byte(was), 0o600))
	o := run(s.command())
	if o.status == 0 || !strings.Contains(o.output, "the last words") {
		t.Errorf("the start ends with %d: %s", o.status, o.output)
	}
	if now, err := os.ReadFile(filepath.Join(s.run, "app.log")); err != nil || string(now) != was {
		t.Errorf("root's file has %q now, %v", now, err)
	}
	endAll(t, s.dir)
}
