//go:build unix

package client_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

// said answers every request with the same words.
type said struct {
	status int
	body   []byte
}

func (s said) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		Status: http.StatusText(s.status), StatusCode: s.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(s.body)), Request: req,
	}, nil
}

// FuzzAnswers has root's tools hear what a daemon says whose user is not root: there are values
// or an error, never both, and no success that nobody has told of.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "null", "[]", `{"error":"no"}`, `{"error":"no","code":"not_found"}`, `{"generation":3,"pid":7}`,
		`{"pid_file":"/run/app.pid","generation":3,"generations":[{"generation":3,"pid":333}]}`,
		"{\"type\":\"started\",\"pid\":8}\n{\"type\":\"served\",\"pid\":8,\"generation\":2}\n{\"type\":\"drained\"}\n",
		"{\"type\":\"failed\",\"stage\":\"listen\",\"error\":\"\\u001b[2J\"}\n", "{\"type\":\"superseded\",\"pid\":-1}\n",
		"{\"type\":\"served\"}\n{\"type\":\"failed\"}\n", "{\"type\":\"served\"}{\"type\":", "\xff\x00",
	} {
		f.Add(uint16(http.StatusOK), []byte(seed))
		f.Add(uint16(http.StatusConflict), []byte(seed))
	}
	pidfile := filepath.Join(f.TempDir(), "app.pid") // which is not there
	f.Fuzz(func(t *testing.T, status uint16, body []byte) {
		c := client.Answered(pidfile, 7, said{int(status), body})
		if s, err := c.Status(t.Context()); (s == nil) == (err == nil) {
			t.Errorf("Status = %v, %v", s, err)
		}
		if a, err := c.Stop(t.Context()); (a == nil) == (err == nil) {
			t.Errorf("Stop = %v, %v", a, err)
		}
		var last protocol.Event
		served := false
		up, err := c.Upgrade(t.Context(), client.UpgradeOptions{}, func(e protocol.Event) {
			last, served = e, served || e.Type == protocol.Served
		})
		if err == nil && (up == nil || !served || last.Type == protocol.Failed) {
			t.Errorf("Upgrade = %v after %q", up, body)
		}
		drained := false
		err = c.Drain(t.Context(), func(e protocol.Event) { drained = e.Type == protocol.Drained })
		if err == nil && !drained {
			t.Errorf("Drain returns without an error after %q", body)
		}
		if answer := (*client.AnswerError)(nil); errors.As(err, &answer) && answer.Answer.Error == "" {
			t.Errorf("an answer without words after %q", body)
		}
	})
}

// endless goes on for ever, and counts.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}

func (e *endless) Close() error { return nil }

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A daemon that never ends what it says must not have its operator's memory.
func TestEventWithoutEnd(t *testing.T) {
	const most = 4 << 20
	said := new(endless)
	c := client.Answered(filepath.Join(t.TempDir(), "app.pid"), 7, roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: struct {
			io.Reader
			io.Closer
		}{io.LimitReader(said, 8*most), said}}, nil
	}))
	if _, err := c.Upgrade(t.Context(), client.UpgradeOptions{}, nil); !errors.Is(err, client.ErrProtocol) || !errors.Is(err, client.ErrUnknownOutcome) {
		t.Errorf("Upgrade = %v, want ErrProtocol and ErrUnknownOutcome", err)
	}
	if said.read > most {
		t.Errorf("%d bytes were read for one event, want at most %d", said.read, most)
	}
}
