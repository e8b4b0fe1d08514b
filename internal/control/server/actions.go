package server

import (
	"bytes"
	"errors"
	"net/http"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/exposition"
)

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	alone, ok := s.choice(w, r, protocol.QueryAlone, protocol.No, protocol.Yes)
	if !ok {
		return
	}
	writeJSON(w, http.StatusOK, s.daemon.Status(r.Context(), alone == protocol.Yes))
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	all, ok := s.choice(w, r, protocol.QueryAll, protocol.Yes, protocol.No)
	if !ok {
		return
	}
	var text bytes.Buffer
	WriteMetrics(&text, s.daemon.Status(r.Context(), all == protocol.No))
	write(w, http.StatusOK, exposition.Type, text.Bytes())
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
	write(w, http.StatusOK, exposition.Type, []byte(text))
}

// leave is stop or quit.
func (s *Server) leave(action string, do func() (pidfile string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.note(r, action)
		s.done(w, protocol.Answer{PIDFile: do()})
	}
}

func (s *Server) reopen(w http.ResponseWriter, r *http.Request) {
	s.wait(w, r, func() (protocol.Answer, error) { return protocol.Answer{}, s.daemon.Reopen() })
}

func (s *Server) rollback(w http.ResponseWriter, r *http.Request) {
	s.note(r, "rollback")
	s.wait(w, r, func() (protocol.Answer, error) { return protocol.Answer{}, s.daemon.Rollback() })
}

func (s *Server) reloadCerts(w http.ResponseWriter, r *http.Request) {
	s.note(r, "reload-certs")
	s.wait(w, r, func() (protocol.Answer, error) {
		renewed, err := s.daemon.ReloadCerts()
		return protocol.Answer{Renewed: renewed}, err
	})
}

// note logs an action.
func (s *Server) note(r *http.Request, action string) {
	p := peerFrom(r.Context())
	s.log.Info("asked on the control socket", "action", action, "by_uid", p.uid, "by_pid", p.pid)
}

// wait answers with what act returns. A client that goes away does not end that.
func (s *Server) wait(w http.ResponseWriter, r *http.Request, act func() (protocol.Answer, error)) {
	type result struct {
		answer protocol.Answer
		err    error
	}
	outcome := make(chan result, 1)
	go func() {
		answer, err := act()
		outcome <- result{answer, err}
	}()
	select {
	case got := <-outcome:
		if got.err != nil {
			s.refuse(w, got.err)
			return
		}
		s.done(w, got.answer)
	case <-r.Context().Done():
	}
}

func (s *Server) done(w http.ResponseWriter, answer protocol.Answer) {
	answer.PID, answer.Generation = s.daemon.Self()
	writeJSON(w, http.StatusOK, answer)
}

// refuse answers with an error of the daemon's.
func (s *Server) refuse(w http.ResponseWriter, err error) {
	if refusal := (*RefusalError)(nil); errors.As(err, &refusal) {
		s.fail(w, http.StatusConflict, refusal.Code, err.Error())
		return
	}
	s.fail(w, http.StatusInternalServerError, protocol.CodeFailed, err.Error())
}
