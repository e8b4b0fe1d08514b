// Command urfave is a recipe: flags -c and -v of the program's own, by urfave/cli.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/urfave/cli/v3"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	var command gozd.Command
	var color string
	app := &cli.Command{Name: "app", Version: "1.2", Flags: []cli.Flag{ // -v is the version
		&cli.StringFlag{Name: "color", Aliases: []string{"c"}, Value: "red", Usage: "what to answer", Destination: &color},
		&cli.StringFlag{Name: "config", Value: "app.conf", Usage: "configuration `FILE` of the daemon", Destination: &command.Config},
		&cli.StringFlag{Name: "signal", Value: "start", Usage: "start, stop, quit, reopen or reload", Destination: &command.Action},
		&cli.BoolFlag{Name: "foreground", Usage: "stay in the foreground", Destination: &command.Foreground},
	}, Action: func(context.Context, *cli.Command) error { return serve(command, color) }}
	if err := app.Run(context.Background(), os.Args); err != nil {
		log.Fatal(err)
	}
}

func serve(command gozd.Command, color string) error {
	exit := gozd.Run(command)
	ln, err := gozd.Listen("web")
	if err != nil {
		return err
	}
	go httpx.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "generation %d, %s\n", gozd.Generation(), color)
	}))
	<-exit
	return nil
}
