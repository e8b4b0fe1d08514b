//go:build !linux

package supervise

import (
	"errors"
	"log/slog"
	"os"
	"syscall"
)

// errUnsupported names what is missing.
var errUnsupported = errors.New("supervise: it needs Linux")

// Supported reports whether this system can have a supervisor.
const Supported = false

// Options say what a supervisor is to do. See the Linux version.
type Options struct {
	Binary  string
	Dir     string
	Verbose bool
	Env     []string
	Files   []*os.File
	Stored  []Stored
}

// Begin fails: there is no supervisor on this system.
func Begin(Options) error { return errUnsupported }

// IsSupervisor reports false.
func IsSupervisor() bool { return false }

// Run is never called.
func Run(func(verbose bool) *slog.Logger) int { return 1 }

// IsSupervised reports false.
func IsSupervised() bool { return false }

// Inherited returns nil: nobody supervises.
func Inherited() (*Client, error) { return nil, nil }

// Embedded is a supervisor in generation 1 itself. There is none on this system.
type Embedded struct{}

// Embed fails: there is no supervisor on this system.
func Embed(*slog.Logger, func(sig syscall.Signal)) (*Embedded, error) { return nil, errUnsupported }

// Client is never called.
func (m *Embedded) Client() *Client { return nil }

// Signal is never called.
func (m *Embedded) Signal(syscall.Signal) {}

// Drained is never called.
func (m *Embedded) Drained() int { return 1 }

// OnTerminal reports false: it would change nothing.
func OnTerminal() bool { return false }

// HasTerminal reports true: it is not known to be gone.
func HasTerminal() bool { return true }

// Traced reports false: it would change nothing.
func Traced() bool { return false }
