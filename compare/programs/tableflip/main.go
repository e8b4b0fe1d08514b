//go:build unix

// Command tableflip is the program of tableflip's README, with a second port for TLS.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cloudflare/tableflip"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/app"
)

func main() {
	o := app.Flags()
	upg, err := tableflip.New(tableflip.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer upg.Stop()
	go upgradeOnHUP(upg)

	server, secure := &http.Server{Handler: app.Handler()}, &http.Server{Handler: app.Handler()}
	ln, err1 := upg.Fds.Listen("tcp", o.HTTP)
	sln, err2 := upg.Fds.Listen("tcp", o.HTTPS)
	if err := errors.Join(err1, err2); err != nil {
		log.Fatal(err)
	}
	go server.Serve(ln)
	go secure.ServeTLS(sln, o.Cert, o.Key)

	if err := upg.Ready(); err != nil {
		log.Fatal(err)
	}
	<-upg.Exit()
	time.AfterFunc(30*time.Second, func() { os.Exit(1) })
	done := make(chan error)
	go func() { done <- secure.Shutdown(context.Background()) }()
	_ = server.Shutdown(context.Background())
	<-done
}

func upgradeOnHUP(upg *tableflip.Upgrader) {
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, syscall.SIGHUP)
	for range sig {
		if err := upg.Upgrade(); err != nil {
			log.Println("upgrade failed:", err)
		}
	}
}
