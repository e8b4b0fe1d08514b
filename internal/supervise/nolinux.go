//go:build !linux

package supervise

import (
	"errors"
	"os"
	"syscall"
	"time"
)

func peer(*os.File) (int, error) { return 0, errors.ErrUnsupported }

func isGone(error) bool { return false }

func write(syscall.Conn, []byte, []int) error { return errors.ErrUnsupported }

func newAnswerReader(*os.File) (*answerReader, error) { return nil, errors.ErrUnsupported }

func readUntil(*os.File, []byte, time.Time) (int, error) { return 0, errors.ErrUnsupported }

// Supported reports whether this system can have a supervisor.
const Supported = false

// Run fails: there is no supervisor on this system.
func Run(Options) (status int, err error) { return 1, errors.New("supervise: it needs Linux") }

// IsSupervised reports false.
func IsSupervised() bool { return false }

// Inherited returns nil: nobody supervises.
func Inherited() (*Client, error) { return nil, nil }

// OnTerminal reports false: it would change nothing.
func OnTerminal() bool { return false }

// HasTerminal reports true: it is not known to be gone.
func HasTerminal() bool { return true }
