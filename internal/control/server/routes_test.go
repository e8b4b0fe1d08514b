package server_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/server"
)

func TestStatus(t *testing.T) {
	s := open(t, newFake(), server.Options{})
	for query, want := range map[string]int{"": 2, "?alone=no": 2, "?alone=yes": 1, "?other=x": 2} {
		got := decode[protocol.Status](t, request(t, s, http.MethodGet, protocol.PathStatus+query, nil))
		if got.Generation != 3 || len(got.Generations) != want {
			t.Errorf("status%s: %+v, want %d generations", query, got, want)
		}
	}
}

func TestActions(t *testing.T) {
	f := newFake()
	s := open(t, f, server.Options{})
	for _, test := range []struct {
		path, code string
		status     int
	}{
		{protocol.PathStop, "", http.StatusOK},
		{protocol.PathQuit, "", http.StatusOK},
		{protocol.PathReopen, "", http.StatusOK},
		{protocol.PathReloadCerts, "", http.StatusOK},
		{protocol.PathRollback, protocol.CodeNoProbation, http.StatusConflict},
		{protocol.PathUpgrade, protocol.CodeNotServing, http.StatusConflict},
	} {
		wantAnswer(t, request(t, s, http.MethodPost, test.path, nil), test.status, test.code)
	}
	if got := f.told(); got != "stop quit reopen reload-certs rollback upgrade" {
		t.Errorf("the daemon has been asked: %s", got)
	}
	f.reopen = func() error { return errors.New("no such directory") }
	a := wantAnswer(t, request(t, s, http.MethodPost, protocol.PathReopen, nil), http.StatusInternalServerError, protocol.CodeFailed)
	if a.Error != "no such directory" {
		t.Errorf("error %q", a.Error)
	}
}

// Who asks a generation that has been replaced learns where the daemon is by now.
func TestQuitSaysWhereTheFilesAre(t *testing.T) {
	s := open(t, newFake(), server.Options{})
	if a := wantAnswer(t, request(t, s, http.MethodPost, protocol.PathQuit, nil), http.StatusOK, ""); a.PIDFile != "/run/moved.pid" {
		t.Errorf("the answer is %+v", a)
	}
}

// Nothing happens by a request that makes no sense.
func TestRefusals(t *testing.T) {
	f := newFake()
	s := open(t, f, server.Options{})
	for _, test := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "/", "", 404, protocol.CodeNotFound},
		{"GET", "/v1", "", 404, protocol.CodeNotFound},
		{"GET", "/v1/status/", "", 404, protocol.CodeNotFound},
		{"GET", "//v1/status", "", 404, protocol.CodeNotFound},
		{"GET", "/v1/../v1/status", "", 404, protocol.CodeNotFound},
		{"POST", "/v2/stop", "", 404, protocol.CodeNotFound},
		{"GET", protocol.PathStop, "", 405, protocol.CodeNotFound},
		{"PUT", protocol.PathStop, "", 405, protocol.CodeNotFound},
		{"DELETE", protocol.PathUpgrade, "", 405, protocol.CodeNotFound},
		{"POST", protocol.PathStatus, "", 405, protocol.CodeNotFound},
		{"POST", protocol.PathMetrics, "", 405, protocol.CodeNotFound},
		{"GET", protocol.PathMetrics + "?all=perhaps", "", 400, protocol.CodeInvalid},
		{"GET", protocol.PathProgram + "?all=perhaps", "", 400, protocol.CodeInvalid},
		{"GET", protocol.PathProgram + "?all=yes", "", 500, protocol.CodeFailed},
		{"GET", protocol.PathStatus + "?alone=perhaps", "", 400, protocol.CodeInvalid},
		{"GET", protocol.PathStatus + "?alone=%zz", "", 400, protocol.CodeInvalid},
		{"POST", protocol.PathUpgrade + "?drain=", "", 400, protocol.CodeInvalid},
		{"POST", protocol.PathStop, strings.Repeat("x", 5000), 413, protocol.CodeInvalid},
	} {
		resp := request(t, s, test.method, test.path, strings.NewReader(test.body))
		wantAnswer(t, resp, test.status, test.code)
		if allow := resp.Header.Get("Allow"); (test.status == 405) != (allow != "") || allow == test.method {
			t.Errorf("%s %s: Allow %q", test.method, test.path, allow)
		}
	}
	if got := f.told(); got != "" {
		t.Errorf("the daemon has been asked: %s", got)
	}
}

func TestSmallBodyIsIgnored(t *testing.T) {
	f := newFake()
	s := open(t, f, server.Options{})
	wantAnswer(t, request(t, s, http.MethodPost, protocol.PathStop, strings.NewReader("{}")), http.StatusOK, "")
	if f.told() != "stop" {
		t.Errorf("the daemon has been asked: %s", f.told())
	}
}
