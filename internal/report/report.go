// Package report is what a starting process tells the one that started it: who
// it is, that it is ready, or why it cannot be. It is one JSON object a line on
// a pipe; whatever else arrives there is the runtime's own account of a crash.
package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync"
)

// message is one line on the pipe.
type message struct {
	PID   int    `json:"pid,omitempty"`
	Ready bool   `json:"ready,omitempty"`
	Stage string `json:"stage,omitempty"`
	Error string `json:"error,omitempty"`
}

// Writer is the end of the process that starts. Its methods are safe for
// concurrent use. A nil Writer is valid and says nothing: the process was not
// started by one that listens.
type Writer struct {
	mu   sync.Mutex // guards file
	file *os.File
}

// NewWriter takes over f, introduces this process, and has the runtime write
// there too if the process crashes. A reader that is gone is no error: then
// nobody wants to know.
func NewWriter(f *os.File) *Writer {
	w := &Writer{file: f}
	w.send(message{PID: os.Getpid()})
	_ = debug.SetCrashOutput(f, debug.CrashOptions{})
	return w
}

// Ready says that the process serves, and closes the pipe.
func (w *Writer) Ready() { w.finish(message{Ready: true}) }

// Fail says why the process will not serve, and closes the pipe. Stage names
// the step that failed.
func (w *Writer) Fail(stage string, err error) {
	w.finish(message{Stage: stage, Error: err.Error()})
}

func (w *Writer) send(m message) {
	line, err := json.Marshal(m)
	if err != nil {
		return // cannot happen: the struct holds strings, a bool and an int
	}
	_, _ = w.file.Write(append(line, '\n'))
}

func (w *Writer) finish(m message) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return
	}
	w.send(m)
	_ = debug.SetCrashOutput(nil, debug.CrashOptions{})
	_ = w.file.Close()
	w.file = nil
}

// Outcome is what the starting process said until it closed the pipe.
type Outcome struct {
	PID   int    // 0 if it never got as far as saying so
	Ready bool   // it serves
	Stage string // the step that failed; "" if it named none
	Error string // the reason in its own words, or the crash's; "" if it gave none
}

// maxCrash bounds what is kept of a crash: the first goroutine is what matters,
// and a process with thousands of them must not fill our memory.
const maxCrash = 16 << 10

// Read reads from r until its end, which is when the process has said
// everything or is gone. A line that is no message counts as part of a crash.
func Read(r io.Reader) Outcome {
	var out Outcome
	var crash strings.Builder
	lines := bufio.NewReaderSize(r, 4<<10)
	for {
		line, err := lines.ReadString('\n')
		if !out.take(line) && crash.Len()+len(line) <= maxCrash {
			crash.WriteString(line)
		}
		if err != nil {
			break
		}
	}
	if out.Error == "" && !out.Ready {
		out.Error = summarize(crash.String())
	}
	return out
}

// take reports whether line was a message, and keeps what it says.
func (o *Outcome) take(line string) bool {
	var m message
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &m) != nil {
		return false
	}
	if m.PID > 0 {
		o.PID = m.PID
	}
	if m.Error != "" {
		o.Stage, o.Error = m.Stage, m.Error
	}
	o.Ready = o.Ready || m.Ready
	return true
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
			first = strings.TrimSpace(line)
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
		!strings.HasPrefix(call, "panic(") && !strings.HasPrefix(call, "runtime.")
}

func function(call string) string {
	return call[:strings.LastIndex(call, "(")]
}

func position(place string) string {
	place, _, _ = strings.Cut(strings.TrimSpace(place), " ")
	return place[strings.LastIndex(place, "/")+1:]
}
