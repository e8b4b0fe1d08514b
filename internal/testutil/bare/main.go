// Command bare is examples/http on tableflip alone, as tableflip's README has it:
// the baseline of the upgrade benchmark. It takes a PID file and an address.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/cloudflare/tableflip"
	"github.com/gorilla/mux"
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
	router := mux.NewRouter()
	router.HandleFunc("/hello/{name}", hello).Methods(http.MethodGet)
	go func() { _ = http.Serve(ln, router) }()
	if err := upg.Ready(); err != nil {
		log.Fatal(err)
	}
	<-upg.Exit()
}

func hello(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprintf(w, "Hello, %s, from %d\n", mux.Vars(r)["name"], os.Getpid())
}

func upgradeOnHUP(upg *tableflip.Upgrader, signals <-chan os.Signal) {
	for range signals {
		if err := upg.Upgrade(); err != nil {
			log.Print(err)
		}
	}
}
