//go:build unix

// Command careful is tableflip with all that one can do by hand so that no request
// is lost: see drain.
package main

import (
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

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

	d := newDrain(app.Handler())
	server := &http.Server{Handler: d, ConnState: d.track}
	secure := &http.Server{Handler: d, ConnState: d.track}
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
	d.run(ln, sln)
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
