package server

import (
	"context"
	"net/http"
	"os"
)

// HandlerOf returns what answers requests, for such of the daemon's own user, without a socket.
func HandlerOf(d Daemon) http.Handler {
	s := &Server{daemon: d, log: new(Options).log(), uid: os.Geteuid()}
	h := s.handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, &peer{uid: s.uid})))
	})
}

// MayControl is peer.mayControl.
func MayControl(uid, daemon int, err error) error {
	return (&peer{uid: uid, err: err}).mayControl(daemon)
}
