// Command owncommands is a daemon with a command line of its own: it takes a command off os.Args, as "serve" in
// "owncommands serve -c app.conf", before gozd sees the rest. It makes its Daemon in the ways that $OWN_CALLS names:
//
//	(nothing)          Daemonize
//	New                New alone: it stays in the foreground
//	New and Daemonize  one after the other, which no program should do
//
// GET / says which generation answers, and which command that process has been started with.
//
// Each process adds a line to the file "starts" in the working directory. One that has too many such processes above it ends
// at once: a program that starts itself again and again must not take the machine with it.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

const (
	depthEnv = "OWN_DEPTH"
	maxDepth = 5
)

func main() {
	countStart()
	command := takeCommand()
	d, exit := begin(os.Getenv("OWN_CALLS"))
	listen, generation := gozd.Listen, gozd.Generation
	if d != nil {
		listen, generation = d.Listen, d.Generation
	}
	ln, err := listen("web")
	if err != nil {
		log.Fatal(err)
	}
	answer := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, generation(), command) }
	go func() { log.Print(httpx.Serve(ln, http.HandlerFunc(answer))) }()
	<-exit
}

// begin makes the Daemon. d is nil where it is that of Daemonize.
func begin(calls string) (d *gozd.Daemon, exit <-chan struct{}) {
	if calls == "" {
		return nil, gozd.Daemonize()
	}
	d, err := gozd.New(gozd.Options{Config: os.Args[slices.Index(os.Args, "-c")+1]})
	if calls == "New and Daemonize" {
		return nil, gozd.Daemonize() // whatever New says: it fails in a process that a daemon has started so
	}
	if err != nil {
		log.Fatal(err)
	}
	return d, d.Exit()
}

// takeCommand takes the first argument away, if it is no flag.
func takeCommand() string {
	if len(os.Args) < 2 || strings.HasPrefix(os.Args[1], "-") {
		return "none"
	}
	command := os.Args[1]
	os.Args = slices.Delete(os.Args, 1, 2)
	return command
}

// countStart writes down that this process has been started, and ends it where that has gone on for too long.
func countStart() {
	depth, _ := strconv.Atoi(os.Getenv(depthEnv)) // 0 in the first
	f, err := os.OpenFile("starts", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid(), depth)
	}
	if err == nil {
		err = os.Setenv(depthEnv, strconv.Itoa(depth+1))
	}
	if err != nil || depth >= maxDepth {
		log.Fatalf("started %d times one by another: %v", depth, err)
	}
}
