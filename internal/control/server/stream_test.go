package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
)

// events are those of a stream, one at a time.
type events struct {
	t   *testing.T
	dec *json.Decoder
}

func follow(t *testing.T, s *server.Server, method, path string) *events {
	t.Helper()
	resp := request(t, s, method, path, nil)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("answer %s of type %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	return &events{t, json.NewDecoder(resp.Body)}
}

func (e *events) want(kind protocol.EventType) protocol.Event {
	e.t.Helper()
	var got protocol.Event
	if err := e.dec.Decode(&got); err != nil {
		e.t.Fatalf("%v instead of event %q", err, kind)
	}
	if got.Type != kind || got.Time.IsZero() {
		e.t.Fatalf("event %+v, want %q", got, kind)
	}
	return got
}

// wantEnd checks that the stream ends, and whole.
func (e *events) wantEnd() {
	e.t.Helper()
	if err := e.dec.Decode(new(protocol.Event)); !errors.Is(err, io.EOF) {
		e.t.Errorf("%v at the end, want io.EOF", err)
	}
}

// Each event is there before the next happens.
func TestUpgradeStream(t *testing.T) {
	f, step := newFake(), make(chan struct{})
	f.upgrade = func(notify func(protocol.Event)) error {
		for _, kind := range []protocol.EventType{protocol.Waiting, protocol.Started, protocol.OnProbation, protocol.Served} {
			notify(protocol.Event{Type: kind, Generation: 4, PID: 444})
			<-step
		}
		f.progress(protocol.Event{Type: protocol.DrainBegan, Open: 7})
		close(f.draining)
		return nil
	}
	s := open(t, f, server.Options{})
	e := follow(t, s, http.MethodPost, protocol.PathUpgrade)
	for _, kind := range []protocol.EventType{protocol.Waiting, protocol.Started, protocol.OnProbation, protocol.Served} {
		if got := e.want(kind); got.PID != 444 || got.Generation != 4 {
			t.Errorf("event %+v", got)
		}
		step <- struct{}{}
	}
	if got := e.want(protocol.DrainBegan); got.Open != 7 {
		t.Errorf("%d are open, want 7", got.Open)
	}
	f.progress(protocol.Event{Type: protocol.DrainBegan, Open: 2, Moved: 5})
	if got := e.want(protocol.DrainBegan); got.Open != 2 || got.Moved != 5 {
		t.Errorf("%+v, want 2 open, 5 moved", got)
	}
	e.want(protocol.DrainBegan) // that it goes on
	f.progress(protocol.Event{Type: protocol.Drained, Moved: 6, Ended: 1})
	close(f.drained)
	if got := e.want(protocol.Drained); got.Moved != 6 || got.Ended != 1 {
		t.Errorf("%+v, want 6 moved, 1 ended", got)
	}
	e.wantEnd()
}

func TestUpgradeStreamEnds(t *testing.T) {
	for kind, query := range map[protocol.EventType]string{protocol.Served: "?drain=no", protocol.Failed: "", protocol.Superseded: "?drain=yes"} {
		f := newFake()
		f.upgrade = func(notify func(protocol.Event)) error {
			notify(protocol.Event{Type: kind, Stage: "listen", Error: "address in use"})
			return nil
		}
		e := follow(t, open(t, f, server.Options{}), http.MethodPost, protocol.PathUpgrade+query)
		if got := e.want(kind); got.Stage != "listen" || got.Error != "address in use" {
			t.Errorf("event %+v", got)
		}
		e.wantEnd()
	}
}

// A refusal that comes when the stream has begun is an event.
func TestLateRefusal(t *testing.T) {
	f := newFake()
	f.upgrade = func(notify func(protocol.Event)) error {
		notify(protocol.Event{Type: protocol.Waiting})
		return &server.RefusalError{Code: protocol.CodeNotServing, Err: errors.New("asked to end")}
	}
	e := follow(t, open(t, f, server.Options{}), http.MethodPost, protocol.PathUpgrade)
	e.want(protocol.Waiting)
	if got := e.want(protocol.Failed); got.Error != "asked to end" {
		t.Errorf("event %+v", got)
	}
	e.wantEnd()
}

// The upgrade goes on without the client who asked for it.
func TestClientLeaves(t *testing.T) {
	f, started, goOn, done := newFake(), make(chan struct{}), make(chan struct{}), make(chan struct{})
	f.upgrade = func(notify func(protocol.Event)) error {
		notify(protocol.Event{Type: protocol.Started})
		close(started)
		<-goOn
		notify(protocol.Event{Type: protocol.Served})
		close(done)
		return nil
	}
	s := open(t, f, server.Options{})
	resp := request(t, s, http.MethodPost, protocol.PathUpgrade, nil)
	<-started
	_ = resp.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Close(ctx); err != nil || ctx.Err() != nil { // its handler has noticed
		t.Errorf("Close: %v, %v", err, ctx.Err())
	}
	close(goOn)
	select {
	case <-done:
	case <-time.After(patience):
		t.Error("the upgrade has not gone on")
	}
}

func TestDrainStreamWaits(t *testing.T) {
	f := newFake()
	e := follow(t, open(t, f, server.Options{}), http.MethodGet, protocol.PathDrain)
	f.progress(protocol.Event{Type: protocol.DrainBegan, Open: 1})
	close(f.draining)
	e.want(protocol.DrainBegan)
	f.progress(protocol.Event{Type: protocol.Drained})
	close(f.drained)
	e.want(protocol.Drained)
	e.wantEnd()
}
