package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

const (
	// drainTick is how often somebody who follows a drain is told of changes, and
	// drainBeat how often that it goes on if there are none.
	drainTick = 200 * time.Millisecond
	drainBeat = time.Second

	// maxEvents is more than an upgrade has.
	maxEvents = 16
)

// stream is an answer that goes on, an event a line. Nothing is kept back.
type stream struct {
	w   http.ResponseWriter
	rc  *http.ResponseController
	log *slog.Logger
}

// begin says that the events follow, although the first may not be there yet.
func (s *Server) begin(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := &stream{w: w, rc: http.NewResponseController(w), log: s.log}
	_ = out.rc.SetWriteDeadline(time.Now().Add(writeTime))
	w.WriteHeader(http.StatusOK)
	_ = out.rc.Flush() // an error comes again with the first event
	return out
}

// send reports whether there is still somebody who reads.
func (o *stream) send(e protocol.Event) bool {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	_ = o.rc.SetWriteDeadline(time.Now().Add(writeTime))
	err := json.NewEncoder(o.w).Encode(e)
	if err == nil {
		err = o.rc.Flush()
	}
	if err != nil {
		o.log.Debug("control socket: an answer is cut short", "event", e.Type, "error", err)
	}
	return err == nil
}

// attempt is an upgrade that goes on whether or not somebody listens.
type attempt struct {
	events chan protocol.Event // closed when it is over
	err    error               // set before that
}

func (a *attempt) run(do func(notify func(protocol.Event)) error) {
	defer close(a.events)
	a.err = do(func(e protocol.Event) {
		e.Time = time.Now()
		select {
		case a.events <- e:
		default: // there is room for all that there are
		}
	})
}

// upgrade answers with a stream, unless nothing was tried.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) {
	drain, ok := s.choice(w, r, protocol.QueryDrain, protocol.Yes, protocol.No)
	if !ok {
		return
	}
	s.note(r, "upgrade")
	if out, last := s.attempt(w, r, s.daemon.Upgrade); last.Type == protocol.Served && drain == protocol.Yes {
		s.followDrain(r.Context(), out)
	}
}

func (s *Server) dryRun(w http.ResponseWriter, r *http.Request) {
	s.note(r, "dry run")
	s.attempt(w, r, s.daemon.DryRun)
}

// attempt answers with the stream of an upgrade, unless nothing was tried, and returns its last event.
func (s *Server) attempt(
	w http.ResponseWriter, r *http.Request, do func(notify func(protocol.Event)) error,
) (out *stream, last protocol.Event) {
	a := &attempt{events: make(chan protocol.Event, maxEvents)}
	go a.run(do)
	first, ok := next(r.Context(), a)
	if !ok {
		if a.isRefused(r.Context()) {
			s.refuse(w, a.err)
		}
		return nil, protocol.Event{}
	}
	out = s.begin(w)
	return out, a.follow(r.Context(), out, first)
}

// next waits for an event, for the end of the upgrade, or of the client.
func next(ctx context.Context, a *attempt) (e protocol.Event, ok bool) {
	select {
	case e, ok = <-a.events:
	case <-ctx.Done():
	}
	return e, ok
}

// isRefused reports, after next has returned no event, whether the daemon has refused: else
// the client is gone.
func (a *attempt) isRefused(ctx context.Context) bool { return ctx.Err() == nil && a.err != nil }

// follow sends first and what comes after it, and returns the last event.
func (a *attempt) follow(ctx context.Context, out *stream, first protocol.Event) protocol.Event {
	e, ok := first, true
	last := first
	for ; ok; e, ok = next(ctx, a) {
		last = e
		if !out.send(e) {
			return protocol.Event{}
		}
	}
	if a.isRefused(ctx) { // late: the daemon has been asked to end meanwhile
		last = protocol.Event{Type: protocol.Failed, Error: a.err.Error()}
		out.send(last)
	}
	return last
}

// drain follows the drain of this generation, and waits for it to begin.
func (s *Server) drain(w http.ResponseWriter, r *http.Request) {
	out := s.begin(w)
	select {
	case <-s.daemon.Draining():
		s.followDrain(r.Context(), out)
	case <-r.Context().Done():
	}
}

func (s *Server) followDrain(ctx context.Context, out *stream) {
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	var last protocol.Event
	var sent time.Time
	for {
		e := s.daemon.Progress()
		if hasChanged(e, last) || time.Since(sent) >= drainBeat {
			if !out.send(e) || e.Type.Ends() {
				return
			}
			last, sent = e, time.Now()
		}
		select {
		case <-tick.C:
		case <-s.daemon.Drained():
		case <-ctx.Done():
			return
		}
	}
}

// hasChanged looks at what is no clock.
func hasChanged(now, before protocol.Event) bool {
	now.Seconds, before.Seconds = 0, 0
	now.Time, before.Time = time.Time{}, time.Time{}
	return now != before
}
