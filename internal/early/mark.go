package early

import (
	"os"
	"sync/atomic"
)

// Mark is a variable of the environment that says what this process is, as it was when the process was started: a program
// may have cleared its environment by the time it calls gozd. Its methods are safe for concurrent use.
type Mark struct {
	name string
	text atomic.Pointer[string]
}

// NoteMark takes note of a variable. Call it while packages are initialised.
func NoteMark(name string) *Mark {
	m, text := &Mark{name: name}, os.Getenv(name)
	m.text.Store(&text)
	return m
}

// Text is the variable's value; "" if it was not set, and once it has been taken.
func (m *Mark) Text() string { return *m.text.Load() }

// Take returns the value for the last time, and removes the variable, so that no process started by the program takes the mark
// for its own.
func (m *Mark) Take() string {
	_ = os.Unsetenv(m.name)
	return *m.text.Swap(new(string))
}

// SuccessorEnv is the variable by which tableflip's child knows what it is (parent.go, v1.2.3).
const SuccessorEnv = "TABLEFLIP_HAS_PARENT_7DIU3"

// Successor is the mark of a process that an older generation has started.
var Successor = NoteMark(SuccessorEnv)
