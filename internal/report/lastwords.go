package report

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	// MaxStderr is how much of the end of a process's standard error LastWords needs: the runtime's account of a crash in a
	// process with hundreds of goroutines.
	MaxStderr = 256 << 10

	maxWord  = 512 // bytes of a line
	maxWords = 3   // lines
)

// LastWords reduces what a process that has ended wrote to its standard error to one line: how it crashed, and where, or the last
// lines. It is "" where the process wrote nothing. The text is the process's, and may be anything.
func LastWords(stderr string) (words string, crashed bool) {
	if crash := findCrash(stderr); crash != "" {
		return summarize(crash), true
	}
	var last []string
	for line := range strings.SplitSeq(stderr, "\n") {
		line = strings.Trim(line, "\x00 \t\r") // zeros are what has been freed of the file
		if line == "" {
			continue
		}
		last = append(last[max(0, len(last)-maxWords+1):], cut(line))
	}
	return strings.Join(last, "; "), false
}

// Explain adds to how a process has ended what it wrote last to its standard error. A crash says it all.
func Explain(ended error, stderr string) error {
	words, crashed := LastWords(stderr)
	switch {
	case crashed:
		return errors.New(words)
	case words == "":
		return ended
	}
	return fmt.Errorf("%w: %s", ended, words)
}

func cut(line string) string { return line[:min(len(line), maxWord)] }

// crashes are how the runtime begins its account.
var crashes = []string{"panic: ", "fatal error: ", "SIG"}

// findCrash returns the runtime's account of a crash, which lists goroutines; "" for none.
func findCrash(stderr string) string {
	last := strings.LastIndex(stderr, "\ngoroutine ")
	for at := 0; at <= last; {
		rest := stderr[at:]
		begins := slices.ContainsFunc(crashes, func(prefix string) bool { return strings.HasPrefix(rest, prefix) })
		if begins {
			return rest
		}
		end := strings.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		at += end + 1
	}
	// The front may be missing, and with it how the account begins.
	before, _, found := strings.Cut(stderr, "\n\ngoroutine ")
	if !found {
		return ""
	}
	return stderr[strings.LastIndexByte(before, '\n')+1:]
}

// summarize reduces the runtime's account of a crash to what it says first and
// the first frame of the program's own: "panic: boom (main.main, app.go:12)".
func summarize(crash string) string {
	lines := strings.Split(crash, "\n")
	first := ""
	for i, line := range lines {
		switch {
		case line == "" || strings.HasPrefix(line, "["):
		case first == "":
			first = cut(strings.TrimSpace(line))
		case i+1 < len(lines) && isFrame(line, lines[i+1]):
			return fmt.Sprintf("%s (%s, %s)", first, function(line), position(lines[i+1]))
		}
	}
	return first
}

// isFrame recognises the two lines of a stack frame outside the runtime:
//
//	main.main()
//		/src/app.go:12 +0x1d
func isFrame(call, place string) bool {
	return strings.HasPrefix(place, "\t") && strings.Contains(call, "(") &&
		!strings.HasPrefix(call, "panic(") && !strings.HasPrefix(call, "runtime.") &&
		!strings.HasPrefix(call, "internal/") && !strings.HasPrefix(call, "created by ")
}

func function(call string) string {
	return call[:strings.LastIndex(call, "(")]
}

func position(place string) string {
	place, _, _ = strings.Cut(strings.TrimSpace(place), " ")
	return place[strings.LastIndex(place, "/")+1:]
}
