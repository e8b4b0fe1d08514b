//go:build unix

package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// Sender is the end of the generation that is replaced. Its methods are safe for
// concurrent use.
type Sender struct {
	ch *channel

	mu      sync.Mutex // guards what follows
	keys    []string
	seq     uint32
	waiting map[uint32]chan error
	broken  bool // nothing can be sent any more; answers may still come
	ended   bool // nor will answers
}

// greetingWait is how long NewSender waits for the successor's keys, which it
// has sent before it said that it was ready.
const greetingWait = 5 * time.Second

// NewSender takes over f, the end that Pair made for this process, and learns
// which keys the successor takes. Call it when the successor is ready.
func NewSender(f *os.File) (*Sender, error) {
	ch, err := open(f)
	if err != nil {
		return nil, err
	}
	_ = ch.conn.SetReadDeadline(time.Now().Add(greetingWait))
	first, fd, _, err := ch.read()
	closeFD(fd)
	s := &Sender{ch: ch, waiting: make(map[uint32]chan error)}
	if err == nil {
		err = s.takeKeys(first)
	}
	if err != nil {
		ch.close()
		return nil, fmt.Errorf("handover: the successor's keys: %w", err)
	}
	_ = ch.conn.SetReadDeadline(time.Time{})
	go s.readAnswers()
	return s, nil
}

func (s *Sender) takeKeys(f frame) error {
	if f.kind != kindKeys {
		return fmt.Errorf("it began with a frame of kind %d", f.kind)
	}
	var keys []string
	if err := json.Unmarshal(f.payload, &keys); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
	return nil
}

// Takes reports whether the successor takes connections with a key.
func (s *Sender) Takes(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ended && !s.broken && slices.Contains(s.keys, key)
}

// Move gives the socket behind conn to the successor, and returns when it has
// been taken. The caller then closes its own descriptor, and must not have read
// or written meanwhile. An error wraps ErrRefused or ErrGone, and the connection is
// certainly as before, or ErrUncertain, or says what is wrong with the state or the connection, which is as before then, too. It may take as long as the
// successor is busy: taking a connection back from one that has not answered
// could give it two owners. A connection that is closed before the successor has
// room for it is not sent. No copy of state remains in this process.
func (s *Sender) Move(key string, state []byte, conn syscall.Conn) error {
	payload, err := connPayload(key, state)
	if err != nil {
		return untaken{err}
	}
	defer clear(payload)
	return s.send(kindConn, payload, conn)
}

// MoveChannel gives the receiving end of another channel to the successor: what is
// sent there goes to it from now on.
func (s *Sender) MoveChannel(conn syscall.Conn) error { return s.send(kindChannel, nil, conn) }

func (s *Sender) send(k kind, payload []byte, conn syscall.Conn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return untaken{err}
	}
	seq, answer := s.expect()
	if answer == nil {
		return ErrGone
	}
	writeErr, err := s.write(frame{kind: k, seq: seq, payload: payload}, raw)
	if errors.Is(writeErr, syscall.ETOOMANYREFS) {
		s.forget(seq)
		return fmt.Errorf("%w: %w", ErrRefused, writeErr)
	}
	if err != nil { // the connection is closed: not a byte was sent
		s.forget(seq)
		return untaken{err}
	}
	if writeErr != nil {
		s.breakOff()
	}
	// Also when the write failed: an answer to it cannot come, but the end of
	// the channel will, behind the answers to what has been sent before.
	return <-answer
}

// write sends a frame with the descriptor of conn.
func (s *Sender) write(f frame, conn syscall.RawConn) (writeErr, err error) {
	_ = fdpass.InFlight(func() error {
		writeErr, err = s.ch.writeWith(f, conn)
		return writeErr
	})
	return writeErr, err
}

// breakOff stops sending: a frame may be half written, and nothing can follow it.
func (s *Sender) breakOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = true
	_ = s.ch.conn.CloseWrite()
}

// expect makes the channel for an answer; nil when none can come any more.
func (s *Sender) expect() (uint32, chan error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.broken {
		return 0, nil
	}
	s.seq++
	answer := make(chan error, 1)
	s.waiting[s.seq] = answer
	return s.seq, answer
}

func (s *Sender) forget(seq uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, seq)
}

// readAnswers gives each answer to the Move that waits for it.
func (s *Sender) readAnswers() {
	for {
		f, fd, _, err := s.ch.read()
		closeFD(fd)
		if err == nil {
			err = s.takeAnswer(f)
		}
		if err != nil {
			s.end(lastAnswer(err))
			return
		}
	}
}

func (s *Sender) takeAnswer(f frame) error {
	switch f.kind {
	case kindTaken:
		s.answer(f.seq, nil)
	case kindRefused:
		s.answer(f.seq, fmt.Errorf("%w: %s", ErrRefused, f.payload))
	case kindKeys: // the channel has a new owner
		return s.takeKeys(f)
	default:
		return fmt.Errorf("handover: frame of kind %d is no answer", f.kind)
	}
	return nil
}

// lastAnswer is that to all who wait when the channel ends by err. An end between two frames says that nobody has it in hand
// any more, and that whoever had it uses no more than he has said: he says so first.
func lastAnswer(err error) error {
	if isEnd(err) {
		return ErrGone
	}
	return fmt.Errorf("%w: %w", ErrUncertain, err)
}

func (s *Sender) answer(seq uint32, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answer := s.waiting[seq]; answer != nil {
		answer <- err
		delete(s.waiting, seq)
	}
}

// end has everyone who waits learn that no answer will come.
func (s *Sender) end(last error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	for seq, answer := range s.waiting {
		answer <- last
		delete(s.waiting, seq)
	}
	s.ch.close()
}

// Close stops sending. What has not been moved stays. The channel ends when the
// successor has answered what was sent before: it may take that at any time.
func (s *Sender) Close() { s.breakOff() }
