// Package grpcx serves gRPC by grpc-go's own server on a gozd listener, so that an upgrade fails no call.
//
//	err := grpcx.Serve(ln, func() *grpc.Server {
//		s := grpc.NewServer()
//		pb.RegisterGreeterServer(s, greeter)
//		return s
//	})
//
// The group has mode tcp, since grpc-go speaks TLS itself (grpc.Creds). When the listener drains, clients are told by GOAWAY to open
// another connection, which the successor accepts; calls that have begun end here. A stream that does not end is cut at the end of the
// group's drain_timeout. Connections do not move: grpc-go's server keeps its state to itself. Where that matters, serve
// gRPC by httpx: grpc.Server is an http.Handler.
//
// GracefulStop is final, and so each server is used until its generation is replaced: when that serves again, as its successor has died, it
// gets a new one. On any other listener grpcx is grpc-go.
//
// A health service needs nothing of this: the address is served all the time. NOT_SERVING while a generation drains would fail the
// calls of clients that believe it, until they have left.
//
// It is a module of its own, so that only who serves gRPC this way depends on grpc-go.
package grpcx

import (
	"net"
	"sync"

	"google.golang.org/grpc"
)

// Serve serves ln by the servers that newServer makes. Its contract is that of [Server.Serve].
func Serve(ln net.Listener, newServer func() *grpc.Server) error {
	return (&Server{New: newServer}).Serve(ln)
}

// Server serves gRPC on gozd listeners. Its fields are not changed once Serve has been called. Its methods are safe for concurrent use.
type Server struct {
	// New returns a server with all its services, which it shares with no other call. It is called by Serve, and once more each time
	// that the generation serves again after it was replaced. It must not be nil.
	New func() *grpc.Server

	mu      sync.Mutex // guards what follows
	servers map[*grpc.Server]struct{}
	stopped bool
	quit    chan struct{} // closed when stopped; made by the first Serve, before any server
}

// Serve accepts on ln, and closes it before it returns. While a gozd listener drains, it returns only when the generation may
// end: then with net.ErrClosed. After Stop or GracefulStop it returns nil, and before, if it is called after them,
// grpc.ErrServerStopped. Other errors are those of grpc.Server.Serve.
func (s *Server) Serve(ln net.Listener) error {
	defer func() { _ = ln.Close() }()
	r := newRounds(s, ln)
	if r == nil {
		srv, err := s.begin()
		if err != nil {
			return err
		}
		defer s.end(srv)
		return srv.Serve(ln)
	}
	defer r.wait()
	for {
		again, err := r.serve()
		if !again {
			return err
		}
	}
}

// Stop is grpc.Server's, for all servers: it cuts what is open. It is the program's own end, which gozd never uses.
func (s *Server) Stop() { s.stop((*grpc.Server).Stop) }

// GracefulStop is grpc.Server's, for all servers: it waits for calls that have begun. It is the program's own end.
func (s *Server) GracefulStop() { s.stop((*grpc.Server).GracefulStop) }

func (s *Server) stop(how func(*grpc.Server)) {
	s.mu.Lock()
	if !s.stopped && s.quit != nil {
		close(s.quit)
	}
	s.stopped = true
	all := make([]*grpc.Server, 0, len(s.servers))
	for srv := range s.servers {
		all = append(all, srv)
	}
	s.mu.Unlock()
	var stopping sync.WaitGroup
	for _, srv := range all {
		stopping.Go(func() { how(srv) })
	}
	stopping.Wait()
}

// begin returns a new server.
func (s *Server) begin() (*grpc.Server, error) {
	s.mu.Lock()
	stopped := s.stopped
	if s.quit == nil && !stopped {
		s.quit = make(chan struct{})
	}
	s.mu.Unlock()
	if stopped {
		return nil, grpc.ErrServerStopped
	}
	srv := s.New() // which may take its time
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil, grpc.ErrServerStopped
	}
	if s.servers == nil {
		s.servers = make(map[*grpc.Server]struct{})
	}
	s.servers[srv] = struct{}{}
	return srv, nil
}

func (s *Server) end(srv *grpc.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.servers, srv)
}
