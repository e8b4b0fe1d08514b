//go:build !unix

package handover

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// ErrRefused is returned by Move when the successor does not take the connection.
var ErrRefused = errors.New("handover: the successor does not take it")

// ErrGone is returned by Move when there is no successor any more.
var ErrGone = errors.New("handover: the successor is gone")

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

// Taker takes a connection that an older generation hands over.
type Taker func(key string, conn net.Conn, state []byte) error

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
