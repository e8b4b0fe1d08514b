package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
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
)

// user is a connection of this generation.
type user struct {
	hall *hall
	conn gozd.Conn
	me   *member
	in   *bufio.Reader
	line []byte // as much as has been read of it
}

// serve is the handler of a connection, a new one or one that the previous
// generation has handed over.
func (h *hall) serve(conn gozd.Conn) {
	m, rest := h.admit(conn.State())
	// What the previous generation has read comes before what it has not.
	in := io.MultiReader(bytes.NewReader(rest), tcpx.NewReader(conn))
	u := &user{hall: h, conn: conn, me: m, in: bufio.NewReaderSize(in, maxLine)}
	m.out.start(conn)
	if u.talk() {
		return // the connection is the next generation's
	}
	h.leave(m)
	m.out.stop(flushTime)
}

// admit returns a member for a connection's state, and what has been read of his
// next line.
func (h *hall) admit(data []byte) (m *member, rest []byte) {
	if data == nil {
		m = h.enter()
		m.out.add(usage)
		return m, nil
	}
	s := restore(data)
	return h.arrive(s), s.Rest
}

// talk answers lines until the user leaves, or has been handed over.
func (u *user) talk() (moved bool) {
	for {
		part, err := u.in.ReadSlice('\n')
		u.line = append(u.line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull), len(u.line) > maxLine:
			u.me.out.add(fmt.Sprintf("* a line has at most %d bytes\n", maxLine))
			return false
		case err == nil:
			if !u.hall.answer(u.me, string(bytes.TrimRight(u.line, "\r\n"))) {
				return false
			}
			u.line = u.line[:0]
		case errors.Is(err, tcpx.ErrDraining):
			if u.handOver() {
				return true
			}
		default:
			return false
		}
	}
}

// handOver gives the user to the next generation, with all that he has been
// promised. Where that is refused he is served on here until he leaves.
func (u *user) handOver() bool {
	u.hall.hush(u.me)
	unwritten := u.me.out.stop(flushTime)
	s := u.hall.state(u.me)
	s.Rest, s.Out = u.line, unwritten
	if err := u.conn.Handover(s.encode(version)); err != nil {
		u.me.out.start(u.conn)
		return false
	}
	return true
}
