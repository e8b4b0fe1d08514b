// Command bare is the smallest daemon on tableflip alone, as its README has it: the
// baseline of the upgrade benchmark. It takes a PID file and an address.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/cloudflare/tableflip"
)

func main() {
	upg, err := tableflip.New(tableflip.Options{PIDFile: os.Args[1]})
	if err != nil {
		log.Fatal(err)
	}
	defer upg.Stop()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	go upgradeOnHUP(upg, signals)
	ln, err := upg.Listen("tcp", os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		_ = http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintln(w, os.Getpid())
		}))
	}()
	if err := upg.Ready(); err != nil {
		log.Fatal(err)
	}
	<-upg.Exit()
}

func upgradeOnHUP(upg *tableflip.Upgrader, signals <-chan os.Signal) {
	for range signals {
		if err := upg.Upgrade(); err != nil {
			log.Print(err)
		}
	}
}
