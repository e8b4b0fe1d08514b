// Command ownserver is a daemon with a server of its own on group web, plain net/http, which it shuts down when its generation drains.
// With OWNSERVER_RESUME set it can take the group again, with a new server. With OWNSERVER_BY_ITSELF set it does so when a client asks
// for /shutdown, and not when gozd does.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

// server is the one that serves.
var server atomic.Pointer[http.Server]

func main() {
	if os.Getenv("OWNSERVER_BY_ITSELF") == "" {
		gozd.Defaults.OnDrain = func() {
			if err := server.Load().Shutdown(context.Background()); err != nil {
				log.Print(err)
			}
			log.Printf("own server of generation %d shut down", gozd.Generation())
		}
	}
	if os.Getenv("OWNSERVER_RESUME") != "" {
		gozd.Defaults.OnResume = func(context.Context) error { return serve() }
	}
	exit := gozd.Daemonize()
	if os.Getenv("OWNSERVER_IGNORE") != "" {
		signal.Ignore(syscall.SIGHUP)
	}
	if err := serve(); err != nil {
		log.Fatal(err)
	}
	<-exit
}

func serve() error {
	ln, err := gozd.Listen("web")
	if errors.Is(err, gozd.ErrGroupInUse) {
		return nil // the successor has died before the server was shut down
	}
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: http.HandlerFunc(answer)}
	server.Store(srv)
	go func() { log.Print(srv.Serve(ln)) }()
	return nil
}

// answer says which generation this is.
func answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/shutdown" {
		go func() { _ = server.Load().Shutdown(context.Background()) }()
	}
	_, _ = fmt.Fprint(w, gozd.Generation())
}
