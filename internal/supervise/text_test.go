package supervise_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
)

func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"a\u3164b\u2800c\ufe0f":   "a b c ",
		"":                        "",
		"busy":                    "busy",
		"a\nb\n":                  "a; b",
		"x\nMAINPID=1":            "x; MAINPID=1",
		"\x1b[31mred\r\x00\u0085": " [31mred   ",
		"gr\u00fc\u00dfe \xff":    "gr\u00fc\u00dfe  ",
		"\u2028\u202e":            "  ",
	} {
		if got := supervise.OneLine(text); got != want {
			t.Errorf("OneLine(%q) = %q, want %q", text, got, want)
		}
	}
	if got := supervise.OneLine(strings.Repeat("\u00fc", 64<<10)); len(got) > 2<<10 || !utf8.ValidString(got) {
		t.Errorf("of a long text %d bytes are left, valid %t", len(got), utf8.ValidString(got))
	}
}

func TestIsSocketName(t *testing.T) {
	for name, want := range map[string]bool{
		"gozd-web@127.0.0.1%3A80": true,
		strings.Repeat("a", 255):  true,
		strings.Repeat("a", 256):  false,
		"":                        false,
		"x\nMAINPID=1234":         false,
		"x\r":                     false,
		"a b":                     false,
		"a:b":                     false,
		"a\x00":                   false,
		"\u00fc":                  false,
	} {
		if got := supervise.IsSocketName(name); got != want {
			t.Errorf("IsSocketName(%q) = %t, want %t", name, got, want)
		}
	}
}

// What the program says goes to systemd only if it is the program's to say.
func TestPassable(t *testing.T) {
	for line, want := range map[string]bool{
		"WATCHDOG=trigger":           true,
		"WATCHDOG=1":                 false,
		"ERRNO=2":                    true,
		"ERRNO=":                     false,
		"ERRNO=2\r":                  false,
		"EXTEND_TIMEOUT_USEC=1000":   false, // it is bounded
		"X_APP=7 \u00fc":             true,
		"X_APP=\x1b[31m":             false,
		"X_A\tB=7":                   false,
		"BUSERROR=org.example.Error": true,
		"MAINPID=1":                  false,
		"READY=1":                    false,
		"FDSTORE=1":                  false,
		"FDNAME=x":                   false,
		"":                           false,
	} {
		if got := supervise.Passable(line); got != want {
			t.Errorf("Passable(%.40q) = %t, want %t", line, got, want)
		}
	}
}
