package main

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func wantRead(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v, want %q", got, err, want)
	}
}

// What a client has not read in time is in the outbox, to the byte, and is written
// by whoever starts it again.
func TestOutboxStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer client.Close()
		o := newOutbox()
		o.add("one\n")
		o.start(server)
		o.add("two\n")
		wantRead(t, client, "one\ntw")
		start := time.Now()
		if left := o.stop(flushTime); string(left) != "o\n" || time.Since(start) != flushTime {
			t.Errorf("stop leaves %q after %v, want %q after %v", left, time.Since(start), "o\n", flushTime)
		}
		o.add("three\n")
		o.start(server)
		wantRead(t, client, "o\nthree\n")
		start = time.Now()
		if left := o.stop(flushTime); len(left) != 0 || time.Since(start) != 0 {
			t.Errorf("stop leaves %q after %v, want nothing at once", left, time.Since(start))
		}
		o.addFirst([]byte("first\n"))
		o.start(server)
		wantRead(t, client, "first\n")
		server.Close()
		o.stop(flushTime)
	})
}

func TestOutboxIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer client.Close()
		o := newOutbox()
		for range 3 { // for somebody who is on his way
			o.add(strings.Repeat("x", maxOut/2))
		}
		if len(o.pending) != maxOut {
			t.Errorf("%d bytes are pending, want %d", len(o.pending), maxOut)
		}
		o.addFirst([]byte("first"))
		o.start(server)
		if _, err := io.ReadAll(client); err != nil {
			t.Errorf("read: %v, want the end", err)
		}
		o.stop(flushTime)
	})
}
