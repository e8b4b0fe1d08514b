package supervise

import (
	"strings"
	"unicode/utf8"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/printable"
)

// The service's user may have written what goes to systemd from here. systemd reads lines of the form
// NAME=value, so a newline in a value is another line: MAINPID=, for instance, which names a process for
// root to kill.

// oneLine makes a text fit to be the value of a line, and to be shown: characters that show nothing
// become spaces, a newline "; ", and what is longer than maxText is cut.
func oneLine(text string) string {
	text = strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "; ")
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !printable.IsSeen(r) {
			return ' '
		}
		return r
	}, text)
	return shorten(text, maxText)
}

// maxStatus bounds the status, of which others have written two parts: with what is said beside it, it has to fit into one
// message, or systemd gets none of that.
const maxStatus = 3 << 10

// shorten cuts a text, and no character in two.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}

// maxName is the longest name of a socket that systemd takes (FDNAME_MAX).
const maxName = 255

// isSocketName reports whether systemd takes a name (fdname_is_valid): printable ASCII without spaces, and without the
// colon, which separates names.
func isSocketName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || c == ':' {
			return false
		}
	}
	return true
}

// passable reports whether a line of the program's own may go to systemd as it is. The rest is the supervisor's to say,
// or names processes and descriptors.
func passable(line string) bool {
	name, value, _ := strings.Cut(line, "=")
	switch {
	case line == "WATCHDOG=trigger":
		return true
	case name == "ERRNO":
		return value != "" && len(value) <= 20 && strings.Trim(value, "0123456789") == ""
	case name == "BUSERROR", strings.HasPrefix(name, "X_"):
		return isVariable(name) && value == oneLine(value)
	}
	return false
}

// isVariable reports whether a name is one of those that systemd's variables have.
func isVariable(name string) bool {
	return strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}
