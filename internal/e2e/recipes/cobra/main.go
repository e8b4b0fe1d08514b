// Command cobra is a recipe: flags -c and -v of the program's own, by cobra.
package main

import (
	"fmt"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	var command gozd.Command
	var color string
	root := &cobra.Command{Use: "app", Version: "1.2", RunE: func(*cobra.Command, []string) error { return serve(command, color) }} // -v is the version
	root.Flags().StringVarP(&color, "color", "c", "red", "what to answer")
	root.Flags().StringVar(&command.Config, "config", "app.conf", "configuration `file` of the daemon")
	root.Flags().StringVar(&command.Action, "signal", "start", "start, stop, quit, reopen or reload")
	root.Flags().BoolVar(&command.Foreground, "foreground", false, "stay in the foreground")
	if root.Execute() != nil {
		os.Exit(2)
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
