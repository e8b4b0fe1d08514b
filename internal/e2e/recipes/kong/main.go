// Command kong is a recipe: flags -c and -v of the program's own, by kong.
package main

import (
	"fmt"
	"log"
	"net/http"

	"github.com/alecthomas/kong"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

var flags struct {
	Color   string           `short:"c" default:"red" help:"What to answer."`
	Version kong.VersionFlag `short:"v" help:"Print the version."`

	Config     string `default:"app.conf" help:"Configuration of the daemon."`
	Signal     string `default:"start" enum:"start,stop,quit,reopen,reload" help:"One of ${enum}."`
	Foreground bool   `help:"Stay in the foreground."`
}

func main() {
	kong.Parse(&flags, kong.Vars{"version": "1.2"})
	exit := gozd.Run(gozd.Command{Config: flags.Config, Action: flags.Signal, Foreground: flags.Foreground})
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	go httpx.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "generation %d, %s\n", gozd.Generation(), flags.Color)
	}))
	<-exit
}
