package supervise

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// answer is what the supervisor says to a generation that has asked whether it is watched. It goes through a pipe as one line.
type answer struct {
	To      uint64 `json:"to"`                // Event.Asks
	Refused string `json:"refused,omitempty"` // why it is not watched
}

// maxAnswer is what the kernel writes into a pipe at once (PIPE_BUF).
const maxAnswer = 4 << 10

func (a answer) encode() ([]byte, error) {
	a.Refused = shorten(a.Refused, maxAnswer/8) // no character is more than six in JSON
	line, err := json.Marshal(a)
	return append(line, '\n'), err
}

// refusedError is why a generation cannot serve that its supervisor does not watch: the supervisor would take the end of the one before it
// for the daemon's, and pass no signals on.
type refusedError string

func (e refusedError) Error() string {
	return "supervise: the supervisor does not take this process for a generation: " + string(e)
}

// ErrSilent is returned by Ask where the supervisor lives and says nothing: it is stopped, too busy, or of an older version.
var ErrSilent = errors.New("supervise: the supervisor does not answer")

// Ask returns an error where the supervisor says that it does not watch this process, and ErrSilent where it has said nothing for a
// quarter of within, in which the caller has to be ready, or five seconds if that is less. e has only what is signed.
func (c *Client) Ask(e Event, within time.Duration) error {
	if c == nil || c.answers == nil {
		return nil
	}
	deadline := time.Now().Add(min(patience, within/4))
	var number [8]byte
	_, _ = rand.Read(number[:]) // it never fails
	e.Kind, e.Asks = Asking, binary.NativeEndian.Uint64(number[:])
	if err := c.send(e, nil); err != nil {
		return err
	}
	lines, err := newAnswerReader(c.answers)
	for err == nil {
		var line []byte
		if line, err = lines.next(deadline); err != nil {
			break
		}
		if time.Now().After(deadline) { // others have kept the pipe full
			return ErrSilent
		}
		var a answer
		if json.Unmarshal(line, &a) != nil || a.To != e.Asks { // it has been for one whose patience was over
			continue
		}
		if a.Refused != "" {
			return refusedError(oneLine(a.Refused))
		}
		return nil
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrSilent
	case errors.Is(err, os.ErrClosed): // it is gone; see Gone
		return nil
	}
	return fmt.Errorf("supervise: ask the supervisor: %w", err)
}

// answerReader reads lines. Only one generation at a time asks.
type answerReader struct {
	file *os.File
	rest []byte
}

func (r *answerReader) next(deadline time.Time) ([]byte, error) {
	for {
		if line, rest, ok := bytes.Cut(r.rest, []byte("\n")); ok {
			r.rest = rest
			return line, nil
		}
		if len(r.rest) > maxAnswer {
			r.rest = nil // that is nobody's answer
		}
		buf := make([]byte, maxAnswer)
		n, err := readUntil(r.file, buf, deadline)
		if err != nil {
			return nil, err
		}
		r.rest = append(r.rest, buf[:n]...)
	}
}
