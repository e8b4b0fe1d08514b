//go:build !unix

package handover

import (
	"errors"
	"os"
	"syscall"
)

// Pair returns an error: connections cannot be moved here.
func Pair() (ours, theirs *os.File, err error) { return nil, nil, errors.ErrUnsupported }

// Sender cannot be had here.
type Sender struct{}

// NewSender returns an error that wraps errors.ErrUnsupported.
func NewSender(*os.File) (*Sender, error) { return nil, errors.ErrUnsupported }

// Takes reports false.
func (*Sender) Takes(string) bool { return false }

// Move returns ErrGone.
func (*Sender) Move(string, []byte, syscall.Conn) error { return ErrGone }

// Close does nothing.
func (*Sender) Close() {}

// Receiver receives nothing here.
type Receiver struct{}

// NewReceiver returns a Receiver that receives nothing.
func NewReceiver([]string, Taker) (*Receiver, error) { return &Receiver{}, nil }

// Add returns an error that wraps errors.ErrUnsupported.
func (*Receiver) Add(*os.File) error { return errors.ErrUnsupported }

// PassOn does nothing.
func (*Receiver) PassOn(*Sender) {}

// Close does nothing.
func (*Receiver) Close() {}
