package protocols

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// TestUpgradeAfterAnAbort upgrades when a web server has aborted a request, as it does where a visitor has left, and keeps the connection: what its handler
// still writes is whole, and the next request is the successor's.
func TestUpgradeAfterAnAbort(t *testing.T) {
	d := daemontest.Start(t, "[app]\nmode fcgi\nlisten 127.0.0.1:0\n")
	to := daemontest.Target(t, d, "app")
	conn, err := net.Dial(to.Network, to.Address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	send := func(wire []byte) {
		t.Helper()
		if _, err := conn.Write(wire); err != nil {
			t.Fatal(err)
		}
	}
	in := bufio.NewReader(conn)
	params := func(uri string) map[string]string {
		path, query, _ := strings.Cut(uri, "?")
		return map[string]string{"REQUEST_METHOD": "GET", "REQUEST_URI": uri, "SCRIPT_NAME": path, "QUERY_STRING": query, "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "x"}
	}
	const lines = 20
	wire := load.FCGIRequest{ID: 1, KeepConn: true, Params: params("/stream?n=20&every=50ms&read=4"), Stdin: []byte("body")}.Append(nil)
	send(wire[:len(wire)-8]) // all but the end of STDIN
	send([]byte{1, 2, 0, 1, 0, 0, 0, 0})
	got := toEnd(t, in) // by the abort
	first, err := d.State()
	require.NoError(t, err)
	daemontest.Upgrade(t, d)
	got += toEnd(t, in) // by the handler
	if n := strings.Count(got, "line "); n != lines {
		t.Errorf("the handler has written %d lines, want %d: %q", n, lines, got)
	}
	daemontest.AwaitEnd(t, first) // what comes before the connection has moved is its own
	send(load.FCGIRequest{ID: 1, KeepConn: true, Params: params("/")}.Append(nil))
	answer, err := load.NewFCGIReader(in).Response(1)
	if err != nil || answer.Header.Get("X-Gozd-Generation") != "2" {
		t.Errorf("the next answer: %+v, %v, want generation 2's", answer, err)
	}
}

// toEnd reads to the end of request 1, and returns what the records of STDOUT hold.
func toEnd(t *testing.T, in io.Reader) (out string) {
	t.Helper()
	const stdout, end = 6, 3
	for {
		var head [8]byte // version, type, request, lengths of content and padding
		if _, err := io.ReadFull(in, head[:]); err != nil {
			t.Fatalf("after %q: %v", out, err)
		}
		n := int(binary.BigEndian.Uint16(head[4:]))
		content := make([]byte, n+int(head[6]))
		if _, err := io.ReadFull(in, content); err != nil {
			t.Fatalf("after %q, in a record: %v", out, err)
		}
		switch head[1] {
		case stdout:
			out += string(content[:n])
		case end:
			return out
		}
	}
}
