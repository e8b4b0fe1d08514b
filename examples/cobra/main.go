// Command cobra is a daemon with commands of its own, by package cobra. What the daemon does is one of them.
//
//	go run ./examples/cobra serve --foreground -c examples/cobra/app.conf
//	go run ./examples/cobra stop -c examples/cobra/app.conf
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	var c gozd.Command
	root := &cobra.Command{Use: "cobra", SilenceUsage: true}
	root.PersistentFlags().StringVarP(&c.Config, "config", "c", "app.conf", "configuration `file`")
	root.PersistentFlags().BoolVarP(&c.Verbose, "verbose", "v", false, "show what the daemon does")

	greeting := ""
	serve := &cobra.Command{Use: "serve", Short: "start the daemon", Args: cobra.NoArgs, Run: func(*cobra.Command, []string) {
		if err := serve(c, greeting); err != nil {
			log.Fatal(err)
		}
	}}
	serve.Flags().BoolVarP(&c.Foreground, "foreground", "f", false, "stay in the foreground")
	serve.Flags().StringVar(&greeting, "greeting", "Hello", "what to say")
	root.AddCommand(serve)

	root.AddCommand(&cobra.Command{Use: "check", Short: "test the configuration", Args: cobra.NoArgs, Run: func(*cobra.Command, []string) {
		c.Check = true
		gozd.Run(c) // exits with the outcome
	}})
	for _, action := range []string{"stop", "quit", "reopen", "reload"} {
		root.AddCommand(&cobra.Command{Use: action, Short: action + " the daemon", Args: cobra.NoArgs, Run: func(*cobra.Command, []string) {
			c.Action = action
			gozd.Run(c) // exits with the outcome
		}})
	}
	if root.Execute() != nil {
		os.Exit(2) // a usage error
	}
}

func serve(c gozd.Command, greeting string) error {
	exit := gozd.Run(c)
	ln, err := gozd.Listen("web")
	if err != nil {
		return err
	}
	go httpx.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%s from generation %d\n", greeting, gozd.Generation())
	}))
	<-exit
	return nil
}
