//go:build unix

// Command socket is a service with socket activation: it gets its listening sockets
// from 3 on, as systemd passes them, and ends by Shutdown at SIGTERM.
package main

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/app"
)

func main() {
	o := app.Flags()
	ln, err1 := net.FileListener(os.NewFile(3, "http"))
	sln, err2 := net.FileListener(os.NewFile(4, "https"))
	if err := errors.Join(err1, err2); err != nil {
		log.Fatal(err)
	}
	server, secure := &http.Server{Handler: app.Handler()}, &http.Server{Handler: app.Handler()}
	go server.Serve(ln)
	go secure.ServeTLS(sln, o.Cert, o.Key)

	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	<-stop.Done()
	limit, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	done := make(chan error)
	go func() { done <- secure.Shutdown(limit) }()
	_ = server.Shutdown(limit)
	<-done
}
