package listen_test

import (
	"bufio"
	"fmt"
	"net"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

func ExampleFromConn() {
	serve := func(c net.Conn) {
		defer c.Close()
		conn, ok := listen.FromConn(c)
		if !ok {
			return
		}
		select {
		case <-conn.Draining():
			fmt.Fprintln(conn, "bye")
		default:
			fmt.Fprintln(conn, "hello from", conn.Group())
		}
	}
	_ = serve // called with what Accept returns
}

// An adapter for a protocol of lines, each of which is answered. Between two lines, with nothing
// in the buffer, a connection can move to the successor.
func ExampleIdleReader() {
	_ = echo // called with what Accept returns
}

// echo answers each line, until the client leaves or the connection has moved.
func echo(c net.Conn) {
	defer c.Close()
	conn, ok := listen.FromConn(c)
	if !ok || net.Conn(conn) != c { // a layer, such as TLS, may have read ahead
		return
	}
	var in listen.IdleReader
	lines := bufio.NewReader(&in)
	in.Init(conn, func(int) bool { return lines.Buffered() == 0 })
	for {
		line, err := lines.ReadSlice('\n') // the buffer holds all of it
		if err != nil {
			return
		}
		fmt.Fprintf(conn, "you said %s", line)
	}
}
