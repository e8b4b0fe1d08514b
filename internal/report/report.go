// Package report is what a starting process tells the one that started it: who
// it is, that it is ready, or why it cannot be. It is one JSON object a line on
// a pipe. What it could not say is read from its standard error: see [LastWords].
package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// message is one line on the pipe.
type message struct {
	PID   int    `json:"pid,omitempty"`
	Ready bool   `json:"ready,omitempty"`
	Stage string `json:"stage,omitempty"`
	Error string `json:"error,omitempty"`

	// Probation says that the process accepts connections from now on, beside the
	// one that started it, and will decide after that time.
	Probation time.Duration `json:"probation_ns,omitempty"`

	// Kept are the inherited sockets. It is nil, not empty, from a process that does not say.
	Kept []string `json:"kept,omitzero"`

	PIDFile string `json:"pidfile,omitempty"` // with Ready, where it has said so: see Writer.Locate
}

// Writer is the end of the process that starts. Its methods are safe for
// concurrent use. A nil Writer is valid and says nothing: the process was not
// started by one that listens.
type Writer struct {
	mu      sync.Mutex // guards what follows
	file    *os.File
	pidfile string
}

// NewWriter takes over f, and introduces this process. A reader that is gone is no error: then nobody wants to know.
func NewWriter(f *os.File) *Writer {
	w := NewNameless(f)
	// By hand: the first use of encoding/json costs a tenth of a millisecond, and
	// who starts a process waits for it.
	_, _ = f.WriteString(`{"pid":` + strconv.Itoa(os.Getpid()) + "}\n")
	return w
}

// NewNameless is NewWriter for a process that has another PID to the reader, who would signal a stranger.
func NewNameless(f *os.File) *Writer { return &Writer{file: f} }

// Locate has Ready and Serving say where the process's PID file is. An upgrade may have moved it.
func (w *Writer) Locate(pidfile string) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pidfile = pidfile
}

// Ready says that the process serves and which of the inherited sockets it has
// kept, by their IDs, and closes the pipe.
func (w *Writer) Ready(kept []string) {
	if kept == nil {
		kept = []string{}
	}
	w.finish(message{Ready: true, Kept: kept})
}

// Serving is Ready, and keeps the pipe: its end will say that the process has told everybody else too.
func (w *Writer) Serving(kept []string) {
	if kept == nil {
		kept = []string{}
	}
	w.say(message{Ready: true, Kept: kept})
}

// Probation says that the process serves on probation, for d, and keeps the pipe.
func (w *Writer) Probation(d time.Duration) { w.say(message{Probation: d}) }

// Fail says why the process will not serve, and closes the pipe. Stage names
// the step that failed.
func (w *Writer) Fail(stage string, err error) {
	text := err.Error()
	w.finish(message{Stage: stage, Error: text[:min(len(text), maxError)]})
}

func (w *Writer) say(m message) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file != nil {
		w.send(m)
	}
}

func (w *Writer) send(m message) {
	if m.Ready {
		m.PIDFile = w.pidfile
	}
	line, err := json.Marshal(m)
	if err != nil {
		return // cannot happen: the struct holds nothing that JSON cannot
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
	_ = w.file.Close()
	w.file = nil
}

// Outcome is what the starting process said until it closed the pipe.
type Outcome struct {
	PID   int    // 0 if it never got as far as saying so
	Ready bool   // it serves
	Stage string // the step that failed; "" if it named none
	Error string // the reason in its own words; "" if it gave none

	// Probation says that it has begun to serve on probation.
	Probation bool

	// Kept are the IDs of the inherited sockets that it goes on with; nil if it
	// has not said, as another version of gozd does not.
	Kept []string

	PIDFile string // of a process that serves; "" if it has not said
}

const (
	// maxLine bounds a line. A message is never that long (see maxError).
	maxLine = 512 << 10

	// maxError bounds the text of Fail. In JSON it can become six times as long.
	maxError = 64 << 10
)

// Read reads from r until the process has said that it is ready, or to the end, which is when it has said
// why it cannot be or is gone. A line that is no message says nothing.
func Read(r io.Reader) Outcome { return Follow(r, Watcher{}) }

// Watcher is told what the process says while it starts, in the goroutine that reads. Each
// of the functions may be nil.
type Watcher struct {
	Started   func(pid int)                  // it runs
	Probation func(pid int, d time.Duration) // it serves on probation
}

func (w *Watcher) notify(before Outcome, m message) {
	if m.PID > 0 && before.PID == 0 && w.Started != nil {
		w.Started(m.PID)
	}
	if m.Probation > 0 && w.Probation != nil {
		w.Probation(before.PID, m.Probation)
	}
}

// Follow is Read, and tells watch what it reads at once.
func Follow(r io.Reader, watch Watcher) Outcome {
	var out Outcome
	lines := bufio.NewReaderSize(r, 4<<10)
	for {
		line, err := readLine(lines)
		before := out
		if m, ok := out.take(line); ok {
			watch.notify(before, m)
		}
		if err != nil || out.Ready {
			break
		}
	}
	return out
}

// readLine returns the next line, of which it keeps maxLine bytes.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part[:min(len(part), maxLine-len(line))]...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return string(line), err
		}
	}
}

// take reports whether line was a message, and keeps what it says.
func (o *Outcome) take(line string) (m message, ok bool) {
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &m) != nil {
		return message{}, false
	}
	if m.PID > 0 {
		o.PID = m.PID
	}
	if m.Error != "" {
		o.Stage, o.Error = m.Stage, m.Error
	}
	if m.Ready {
		o.Ready, o.Kept, o.PIDFile = true, m.Kept, m.PIDFile
	}
	o.Probation = o.Probation || m.Probation > 0
	return m, true
}
