package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// link is the connection of a client that reads and writes it itself, and the
// frame of its exchanges. Such a client does exactly what it says: nothing
// below it pools, looks ahead or tries again.
type link struct {
	kind   string // names the client in errors
	target Target

	kept      bool          // the connection outlives the exchange
	lookFirst bool          // look for an EOF before sending on a kept connection
	think     time.Duration // most time between exchanges
	expected  time.Duration // how long the server was asked to take

	conn     net.Conn // nil if there is none
	br       *bufio.Reader
	out      []byte // the request, reused
	received int64  // bytes read in this exchange
	opened   int    // connections so far
	begun    int    // exchanges begun on this connection
	broken   bool   // the last connection ended in a failure
	sent     func() // is told when a request has been sent; may be nil
}

// Close ends the client's connection, if there is one.
func (l *link) Close() error {
	if l.conn == nil {
		return nil
	}
	err := l.conn.Close()
	l.conn, l.br = nil, nil
	return err
}

// Connections returns how many connections the client has opened.
func (l *link) Connections() int { return l.opened }

// exchange does one exchange: steps sends and receives on l.conn, and fills in
// who answered.
func (l *link) exchange(ctx context.Context, steps func(context.Context, *Reply) error) (Reply, error) {
	if err := think(ctx, l.think); err != nil {
		return Reply{}, fmt.Errorf("%s: %w", l.kind, err)
	}
	ctx, cancel := bound(ctx, l.expected)
	defer cancel()

	var r Reply
	start := time.Now()
	err := l.connect(ctx, &r)
	if err == nil {
		err = l.run(ctx, &r, steps)
	}
	r.Took = time.Since(start)
	l.broken = err != nil
	if l.broken || !l.kept {
		l.Close()
	}
	return r, err
}

// connect makes sure of a connection to send on.
func (l *link) connect(ctx context.Context, r *Reply) error {
	if err := l.look(); err != nil {
		return fmt.Errorf("%s: look before sending: %w; %s", l.kind, err, l.where())
	}
	if l.conn != nil {
		return nil
	}
	conn, err := l.target.dial(ctx, "http/1.1")
	if err != nil {
		return fmt.Errorf("%s: connect: %w", l.kind, err)
	}
	l.conn, l.br = conn, bufio.NewReader(countingReader{conn, &l.received})
	r.Dialed, r.Reconnected = true, l.kept && l.opened > 0 && !l.broken
	l.opened++
	l.begun = 0
	return nil
}

// look closes a kept connection that the peer has ended, so that connect opens
// the next. Anything but silence or a clean end of file is an error.
func (l *link) look() error {
	if l.conn == nil || !l.lookFirst {
		return nil
	}
	if something, err := pending(l.conn); err != nil || !something {
		return err
	}
	// Something is there to be read. Only reading tells what, also under TLS,
	// where it may be no more than a session ticket: hence the deadline.
	if err := l.conn.SetReadDeadline(time.Now().Add(lookFor)); err != nil {
		return err
	}
	_, err := l.br.Peek(1)
	var timeout net.Error
	switch {
	case err == nil:
		return fmt.Errorf("the server sent %d bytes that nobody asked for", l.br.Buffered())
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil
	case errors.Is(err, io.EOF):
		return l.Close()
	default:
		return err
	}
}

// run does the steps under the deadline and the cancellation of ctx.
func (l *link) run(ctx context.Context, r *Reply, steps func(context.Context, *Reply) error) error {
	if err := l.conn.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("%s: %w; %s", l.kind, err, l.where())
	}
	release := cutWhenDone(ctx, l.conn)
	defer release()
	l.received = 0
	l.begun++
	err := steps(ctx, r)
	if err == nil && l.br.Buffered() > 0 {
		err = fmt.Errorf("%d bytes follow the answer", l.br.Buffered())
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", err, context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("%s: %w; %s", l.kind, err, l.where())
	}
	return nil
}

// cutWhenDone makes reads and writes on conn fail once ctx is done. After
// release has returned, ctx can no longer touch conn.
func cutWhenDone(ctx context.Context, conn net.Conn) (release func()) {
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = conn.SetDeadline(time.Unix(1, 0)) // a conn that refuses is closed already
		close(cut)
	})
	return func() {
		if !stop() {
			<-cut
		}
	}
}

func (l *link) where() string {
	return fmt.Sprintf("request %d on connection %d", l.begun, l.opened)
}

// sendWhole is how long a request may be that is written before the answer is
// read. It fits into the socket buffers of every system in use.
const sendWhole = 64 << 10

// converse writes request and reads the answer. A long request is written
// while the answer is read, since a server that echoes as it reads would
// otherwise wait for a client that waits for it.
func (l *link) converse(request []byte, read func() error) error {
	if len(request) <= sendWhole {
		if err := l.write(request); err != nil {
			return err
		}
		return read()
	}
	written := make(chan error, 1)
	go func() { written <- l.write(request) }()
	err := read()
	if err != nil {
		l.conn.Close() // releases the writer
	}
	if writeErr := <-written; err == nil {
		err = writeErr
	}
	return err
}

func (l *link) write(p []byte) error {
	if n, err := l.conn.Write(p); err != nil {
		return fmt.Errorf("send request: %w after %d of %d bytes", err, n, len(p))
	}
	return nil
}

// readError says in which part of the answer err was met, and how much had
// come by then.
func (l *link) readError(part string, err error) error {
	if l.received == 0 && errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF // http.ReadResponse makes no difference
	}
	return fmt.Errorf("read %s: %w after %d bytes", part, err, l.received)
}

// countingReader counts what a connection has delivered.
type countingReader struct {
	conn net.Conn
	n    *int64
}

func (r countingReader) Read(p []byte) (int, error) {
	n, err := r.conn.Read(p)
	*r.n += int64(n)
	return n, err
}
