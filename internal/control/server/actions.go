package server

import (
	"bytes"
	"errors"
	"net/http"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	alone, ok := s.choice(w, r, protocol.QueryAlone, protocol.No, protocol.Yes)
	if !ok {
		return
	}
	s.answer(w, http.StatusOK, s.daemon.Status(r.Context(), alone == protocol.Yes))
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	all, ok := s.choice(w, r, protocol.QueryAll, protocol.Yes, protocol.No)
	if !ok {
		return
	}
	var text bytes.Buffer
	WriteMetrics(&text, s.daemon.Status(r.Context(), all == protocol.No))
	s.write(w, http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", text.Bytes())
}

func (s *Server) program(w http.ResponseWriter, r *http.Request) {
	all, ok := s.choice(w, r, protocol.QueryAll, protocol.No, protocol.Yes)
	if !ok {
		return
	}
	text, err := s.daemon.Program(r.Context(), all == protocol.Yes)
	if err != nil {
		s.fail(w, http.StatusInternalServerError, protocol.CodeFailed, err.Error())
		return
	}
	s.write(w, http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", []byte(text))
}

func (s *Server) stop(w http.ResponseWriter, r *http.Request) {
	s.note(r, "stop")
	s.daemon.Stop()
	s.done(w)
}

func (s *Server) quit(w http.ResponseWriter, r *http.Request) {
	s.note(r, "quit")
	s.daemon.Quit()
	s.done(w)
}

func (s *Server) reopen(w http.ResponseWriter, r *http.Request) {
	s.wait(w, r, s.daemon.Reopen)
}

func (s *Server) rollback(w http.ResponseWriter, r *http.Request) {
	s.note(r, "rollback")
	s.wait(w, r, s.daemon.Rollback)
}

// note logs an action.
func (s *Server) note(r *http.Request, action string) {
	p := peerFrom(r.Context())
	s.log.Info("asked on the control socket", "action", action, "by_uid", p.uid, "by_pid", p.pid)
}

// wait answers with what act returns. A client that goes away does not end that.
func (s *Server) wait(w http.ResponseWriter, r *http.Request, act func() error) {
	outcome := make(chan error, 1)
	go func() { outcome <- act() }()
	select {
	case err := <-outcome:
		if err != nil {
			s.refuse(w, err)
			return
		}
		s.done(w)
	case <-r.Context().Done():
	}
}

func (s *Server) done(w http.ResponseWriter) {
	pid, generation := s.daemon.Self()
	s.answer(w, http.StatusOK, protocol.Answer{PID: pid, Generation: generation})
}

// refuse answers with an error of the daemon's.
func (s *Server) refuse(w http.ResponseWriter, err error) {
	if refusal := (*RefusalError)(nil); errors.As(err, &refusal) {
		s.fail(w, http.StatusConflict, refusal.Code, err.Error())
		return
	}
	s.fail(w, http.StatusInternalServerError, protocol.CodeFailed, err.Error())
}
