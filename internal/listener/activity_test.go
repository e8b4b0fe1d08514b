package listener_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// TestActivityDecidesWhenIdleConnectionsEnd has one connection of each kind when the
// listener drains with nobody to take over.
func TestActivityDecidesWhenIdleConnectionsEnd(t *testing.T) {
	tests := []struct {
		name  string
		say   []listener.Activity
		ends  bool
		after time.Duration
	}{
		{"nobody says anything", nil, false, 0},
		{"fresh", []listener.Activity{listener.Fresh}, true, time.Second},
		{"busy", []listener.Activity{listener.Fresh, listener.Busy}, false, 0},
		{"idle", []listener.Activity{listener.Fresh, listener.Busy, listener.Idle}, true, 0},
		{"unknown again", []listener.Activity{listener.Fresh, listener.Unknown}, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln, mem := inMemory(listener.Options{})
				server, client := pair(t, ln, mem.Dial)
				for _, a := range tt.say {
					listener.SetActivity(server, a)
				}
				start := time.Now()
				ln.CloseIdle()
				ln.StopAccepting()
				_ = client.SetReadDeadline(start.Add(time.Hour))
				_, err := client.Read(make([]byte, 1))
				if ended := errors.Is(err, io.EOF); ended != tt.ends || ended && time.Since(start) != tt.after {
					t.Errorf("the client reads %v after %v, want an end %v after %v", err, time.Since(start), tt.ends, tt.after)
				}
			})
		})
	}
}

func TestConnectionThatBecomesIdleWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, mem := inMemory(listener.Options{})
		server, client := pair(t, ln, mem.Dial)
		listener.SetActivity(server, listener.Busy)
		ln.CloseIdle()
		ln.StopAccepting()
		listener.SetActivity(server, listener.Idle)
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the client reads %v, want io.EOF", err)
		}
	})
}

// With a successor to be, an idle connection behind another layer stays until its
// adapter ends it.
func TestIdleStaysWhereSomebodyTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, mem := inMemory(listener.Options{})
		server, client := pair(t, ln, mem.Dial)
		listener.SetActivity(server, listener.Idle)
		ln.StopAccepting()
		_ = client.SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := client.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
			t.Error("the connection has ended")
		}
	})
}

func TestForeignConnectionsHaveNoActivity(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	listener.SetActivity(server, listener.Idle) // must not panic
	if listener.AfterClose(server, func() { t.Error("called") }) {
		t.Error("AfterClose takes a connection that is no listener's")
	}
	server.Close()
}

func TestAfterClose(t *testing.T) {
	ln, mem := inMemory(listener.Options{})
	server, _ := pair(t, ln, mem.Dial)
	calls := make(chan string, 10)
	listener.AfterClose(server, func() { calls <- "first" })
	if !listener.AfterClose(server, func() { calls <- "second" }) {
		t.Error("AfterClose refuses a connection of a Listener")
	}
	if len(calls) > 0 {
		t.Error("called before the end")
	}
	server.Close()
	server.Close() // as net/http does
	if len(calls) != 1 || <-calls != "second" {
		t.Error("want one call, of the second")
	}
	listener.AfterClose(server, func() { calls <- "late" })
	if len(calls) != 1 {
		t.Error("want a call at once after the end")
	}
}

func TestSpread(t *testing.T) {
	for _, spread := range []time.Duration{-time.Second, 0, time.Second} {
		ln, _ := inMemory(listener.Options{Spread: spread})
		if got := ln.Spread(); got != max(0, spread) {
			t.Errorf("Spread = %v, want %v", got, max(0, spread))
		}
		select {
		case <-ln.Expedited():
			t.Error("hurried before Hurry")
		default:
		}
		ln.Expedite()
		ln.Expedite()
		<-ln.Expedited()
		ln.CloseIdle()
		if got := ln.Spread(); got != 0 {
			t.Errorf("Spread = %v with nobody to take over, want 0", got)
		}
		ln.Close()
	}
}
