package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

// route is what one path does, by its only method.
type route struct {
	method, path string
	do           http.HandlerFunc
}

func (s *Server) routes() []route {
	return []route{
		{http.MethodGet, protocol.PathStatus, s.status},
		{http.MethodGet, protocol.PathMetrics, s.metrics},
		{http.MethodGet, protocol.PathProgram, s.program},
		{http.MethodGet, protocol.PathDrain, s.drain},
		{http.MethodPost, protocol.PathUpgrade, s.upgrade},
		{http.MethodPost, protocol.PathDryRun, s.dryRun},
		{http.MethodPost, protocol.PathRollback, s.rollback},
		{http.MethodPost, protocol.PathStop, s.leave("stop", s.daemon.Stop)},
		{http.MethodPost, protocol.PathQuit, s.leave("quit", s.daemon.Quit)},
		{http.MethodPost, protocol.PathReopen, s.reopen},
		{http.MethodPost, protocol.PathReloadCerts, s.reloadCerts},
	}
}

// handler routes what comes from who may ask.
func (s *Server) handler() http.Handler {
	return s.recovered(s.authorized(s.withoutBody(http.HandlerFunc(s.route))))
}

// route has no use for http.ServeMux: a path that is not clean is not ours, and not redirected, and HEAD is not GET.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	routes := s.routes()
	i := slices.IndexFunc(routes, func(route route) bool { return route.path == r.URL.Path })
	switch {
	case i < 0:
		s.fail(w, http.StatusNotFound, protocol.CodeNotFound, fmt.Sprintf("there is no %q here", r.URL.Path))
	case r.Method != routes[i].method:
		w.Header().Set("Allow", routes[i].method)
		s.fail(w, http.StatusMethodNotAllowed, protocol.CodeNotFound, fmt.Sprintf("%s takes %s, not %q", r.URL.Path, routes[i].method, r.Method))
	default:
		routes[i].do(w, r)
	}
}

// recovered answers and logs what goes wrong in the daemon. net/http would log it
// to where nobody looks.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("control socket: panic", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				s.fail(w, http.StatusInternalServerError, protocol.CodeFailed, "the daemon has met a mistake of its own; its log says which")
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func (s *Server) authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := peerFrom(r.Context()).mayControl(s.uid); err != nil {
			s.log.Warn("control socket: refused", "error", err)
			s.fail(w, http.StatusForbidden, protocol.CodeForbidden, err.Error())
			return
		}
		next.ServeHTTP(w, r)
	})
}

// withoutBody reads the body away, as nothing here needs one.
func (s *Server) withoutBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody))
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			s.fail(w, http.StatusRequestEntityTooLarge, protocol.CodeInvalid, fmt.Sprintf("the body is larger than %d bytes, and none is needed", maxBody))
			return
		}
		if err != nil {
			s.fail(w, http.StatusBadRequest, protocol.CodeInvalid, "body: "+err.Error())
			return
		}
		// Or, when the time for reading the request is over, net/http would take the client for gone.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		next.ServeHTTP(w, r)
	})
}

// choice returns the value of a key in the query, which is one of words or the
// first of them if it is missing. If it is neither, the request is answered, and ok is false.
func (s *Server) choice(w http.ResponseWriter, r *http.Request, key string, words ...string) (value string, ok bool) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		s.fail(w, http.StatusBadRequest, protocol.CodeInvalid, "query: "+err.Error())
		return "", false
	}
	if !query.Has(key) {
		return words[0], true
	}
	if value = query.Get(key); slices.Contains(words, value) {
		return value, true
	}
	s.fail(w, http.StatusBadRequest, protocol.CodeInvalid, fmt.Sprintf("%s=%q: it is one of %s", key, value, strings.Join(words, ", ")))
	return "", false
}

// fail answers with an error.
func (s *Server) fail(w http.ResponseWriter, status int, code, text string) {
	pid, generation := s.daemon.Self()
	writeJSON(w, status, protocol.Answer{PID: pid, Generation: generation, Error: text, Code: code})
}

// writeJSON writes v, to its last byte. A client that is gone is no error.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // cannot happen: the protocol's types hold nothing that JSON cannot
	}
	write(w, status, "application/json", append(body, '\n'))
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
