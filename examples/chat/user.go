package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

const (
	// maxLine is the longest line in bytes, with its end.
	maxLine = 1024

	// flushTime is how long a client may take to read what was promised before its
	// connection moves, or ends. What is left moves along.
	flushTime = 100 * time.Millisecond

	// messageTime is that of a WebSocket before it moves. Where a message of it is cut
	// short, or a record of TLS, nothing can follow, and it ends. The others do not wait for
	// it as long as transit.
	messageTime = transit / 2
)

// user is a user of this generation.
type user struct {
	hall *hall
	me   *member
	rest []byte // was read by the previous generation
	line []byte // as much as has been read of it

	patience time.Duration // with a client that does not read, before it moves
}

// outcome is how a connection ends here.
type outcome int

const (
	left  outcome = iota // the user has left
	moved                // he is the next generation's
	stays                // nobody has taken him: he is served on here
)

// serve is the handler of a connection, a new one or one that the previous
// generation has handed over.
func (h *hall) serve(conn gozd.Conn) {
	u := h.admit(conn.State())
	for in := tcpx.NewReader(conn); u.talk(conn, in, conn.Handover) == stays; {
	}
}

// admit returns a user for a connection's state; nil is that of a new one.
func (h *hall) admit(data []byte) *user {
	if data == nil {
		m := h.enter()
		m.out.add(usage)
		return &user{hall: h, me: m, patience: flushTime}
	}
	s := restore(data)
	return &user{hall: h, me: h.arrive(s), rest: s.Rest, patience: flushTime}
}

// talk answers the lines that come by in, on conn, until the user leaves, or is to be handed over.
func (u *user) talk(conn net.Conn, in io.Reader, handOver func(state []byte) error) outcome {
	u.me.out.start(conn)
	result := u.answerLines(in, handOver)
	if result == left {
		u.hall.leave(u.me)
		u.me.out.stop(flushTime)
	}
	return result
}

func (u *user) answerLines(in io.Reader, handOver func(state []byte) error) outcome {
	// What the previous generation has read comes before what it has not.
	lines := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(u.rest), in), maxLine)
	u.rest = nil
	for {
		part, err := lines.ReadSlice('\n')
		u.line = append(u.line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull), len(u.line) > maxLine:
			u.me.out.add(fmt.Sprintf("* a line has at most %d bytes\n", maxLine))
			return left
		case err == nil:
			if !u.hall.answer(u.me, string(bytes.TrimRight(u.line, "\r\n"))) {
				return left
			}
			u.line = u.line[:0]
		case errors.Is(err, tcpx.ErrDraining):
			return u.leaveWith(handOver)
		default:
			return left
		}
	}
}

// leaveWith gives the user to the next generation, with all that he has been
// promised. Where that is refused he is served on here until he leaves.
func (u *user) leaveWith(handOver func(state []byte) error) outcome {
	u.hall.hush(u.me)
	unwritten := u.me.out.stop(u.patience)
	s := u.hall.state(u.me)
	s.Rest, s.Out = u.line, unwritten
	if handOver(s.encode(version)) != nil {
		return stays
	}
	return moved
}
