package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// What a client may take: it is the daemon's user or root, and can only be in error.
const (
	headerTime = 5 * time.Second  // from its connecting to the end of its header
	bodyTime   = 5 * time.Second  // from the header's first byte to the end of the body
	idleTime   = 30 * time.Second // between two requests
	writeTime  = 30 * time.Second // until it has read what has been written; nothing waits for it, and this process may be slow itself
	maxHeader  = 8 << 10          // bytes; net/http adds 4096 for itself
	maxBody    = 1 << 10          // bytes; nothing in it is looked at
)

// Options configure a [Server].
type Options struct {
	// PIDFile is the path of the daemon's PID file. Required.
	PIDFile string

	// Log gets a line for each action. If nil, there is no log.
	Log *slog.Logger

	// Room, if non-nil, is called when a client cannot be accepted since there are no
	// descriptors left: it makes some free until done is called. The operator of such a daemon
	// must get in.
	Room func() (done func())
}

func (o *Options) log() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}

// Server is an open control socket. Its methods are safe for concurrent use.
type Server struct {
	daemon Daemon
	log    *slog.Logger
	path   string
	uid    int // the daemon's
	http   *http.Server
	conns  conns
	served chan struct{} // closed when Serve has returned
	once   sync.Once     // guards what Leave does
	ln     *listener
}

// Open opens the control socket of this process and serves on it. Sockets beside it
// of processes that are gone are removed. The error wraps errors.ErrUnsupported where the
// platform does not tell who connects.
func Open(d Daemon, opts Options) (*Server, error) {
	if !socket.HasPeerCred {
		return nil, fmt.Errorf("control socket: %w", errors.ErrUnsupported)
	}
	s := &Server{
		daemon: d,
		log:    opts.log(),
		path:   protocol.SocketPath(opts.PIDFile, os.Getpid()),
		uid:    os.Geteuid(),
		served: make(chan struct{}),
	}
	s.conns.quiet = make(chan struct{})
	RemoveStale(opts.PIDFile)
	// The socket has this mode before it listens, and is never inherited: it is
	// close-on-exec, and tableflip does not know it.
	ln, err := socket.Listen("unix", s.path, socket.Options{Mode: 0o600, UID: -1, GID: -1})
	if err == nil {
		err = socket.RefuseFiles(ln)
	}
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	s.ln = &listener{Listener: ln, room: opts.Room}
	s.http = &http.Server{
		Handler:                      s.handler(),
		ReadHeaderTimeout:            headerTime,
		ReadTimeout:                  bodyTime,
		IdleTimeout:                  idleTime,
		MaxHeaderBytes:               maxHeader,
		ConnContext:                  withPeer,
		ConnState:                    s.conns.note,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(io.Discard, "", 0), // panics are logged by recovered, and the rest is the clients' affair
	}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(s.ln) // it ends with Leave
	}()
	return s, nil
}

// Path returns the socket's path.
func (s *Server) Path() string { return s.path }

// Leave accepts nobody any more and removes the socket's file. Requests that have begun
// go on. Later calls do nothing.
func (s *Server) Leave() error {
	var err error
	s.once.Do(func() {
		err = errors.Join(s.ln.Close(), socket.Remove(s.path))
		s.http.SetKeepAlivesEnabled(false) // it also closes the connections without a request
		s.conns.leave()
	})
	return err
}

// Close is Leave, and returns when every request that has begun is answered, to its
// last byte, or ctx is done. Then it cuts what is left.
func (s *Server) Close(ctx context.Context) error {
	err := s.Leave()
	select {
	case <-s.conns.quiet:
	case <-ctx.Done():
	}
	_ = s.http.Close() // its only error would be that the listener is closed, by Leave
	<-s.served
	return err
}
