//go:build unix

package client_test

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

// telling says a line a number of times, each after a pause, and then the last line.
type telling struct {
	line, last string
	times      int
	pause      time.Duration
}

func (r *telling) Read(p []byte) (int, error) {
	time.Sleep(r.pause) // in a bubble
	switch r.times--; {
	case r.times >= 0:
		return copy(p, r.line), nil
	case r.times == -1:
		return copy(p, r.last), nil
	}
	return 0, io.EOF
}

func (r *telling) Close() error { return nil }

func (r *telling) client() *client.Client {
	return client.Answered("/nonexistent/app.pid", 7, roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: r}, nil
	}))
}

// A daemon that sends events without end has no more than some of them shown, and nobody takes its upgrade for a failure that has changed nothing.
func TestEventsWithoutEnd(t *testing.T) {
	for event, most := range map[string]int{"started": 256, "waiting": 256, "of another gozd": 256, "draining": 128} {
		synctest.Test(t, func(t *testing.T) {
			flood := &telling{line: `{"event":"` + event + `","pid":1,"generation":2}` + "\n", times: 100_000}
			shown := 0
			show := func(protocol.Event) { shown++ }
			_, err := flood.client().Upgrade(t.Context(), client.UpgradeOptions{}, show)
			if shown != most || !errors.Is(err, client.ErrUnknownOutcome) || !errors.Is(err, client.ErrProtocol) {
				t.Errorf("%s: %d are shown, %v", event, shown, err)
			}
			shown, flood.times = 0, 100_000
			if err := flood.client().Drain(t.Context(), show); shown != most || !errors.Is(err, client.ErrUnknownOutcome) {
				t.Errorf("%s, to who follows the drain: %d are shown, %v", event, shown, err)
			}
		})
	}
}

// A drain of hours is told five times a second.
func TestLongDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hour = 5 * 3600
		drain := &telling{line: `{"event":"draining","open":3}` + "\n", last: `{"event":"drained"}` + "\n", times: hour, pause: 200 * time.Millisecond}
		shown := 0
		if err := drain.client().Drain(t.Context(), func(protocol.Event) { shown++ }); err != nil || shown != hour+1 {
			t.Errorf("%d events, %v", shown, err)
		}
	})
}
