// Command faulty is a daemon that fails when it is started, in the way that the
// file "fault" beside its configuration names. Tests install it as the newest
// binary.
package main

import (
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

func main() {
	fault := readFault(os.Args)
	early(fault)
	exit := gozd.Daemonize()
	late(fault)
	<-exit
}

// readFault finds the file beside the argument of -c.
func readFault(args []string) string {
	for i, arg := range args[:len(args)-1] {
		if arg == "-c" {
			data, err := os.ReadFile(filepath.Join(filepath.Dir(args[i+1]), "fault"))
			if err != nil {
				log.Fatal(err)
			}
			return string(data)
		}
	}
	return ""
}

// inUse is what a program says whose own port is taken.
const inUse = "listen tcp :6060: bind: address already in use"

// early fails before gozd has been called.
func early(fault string) {
	switch fault {
	case "exit early":
		os.Exit(3)
	case "panic early":
		panic("early fault")
	case "fatal early":
		log.Fatal(inUse)
	case "hang early":
		time.Sleep(time.Hour)
	case "elsewhere early":
		elsewhere()
	}
	if length, ok := strings.CutPrefix(fault, "late "); ok {
		runFor(length)
	}
}

// runFor has this process do nothing for a while.
func runFor(length string) {
	d, err := time.ParseDuration(length)
	if err != nil {
		log.Fatal(err)
	}
	time.Sleep(d)
}

// late fails in a program that has got as far as Daemonize.
func late(fault string) {
	switch fault {
	case "exit":
		os.Exit(4)
	case "exit with the PID file":
		pid := strconv.Itoa(os.Getpid()) + "\n"
		if err := os.WriteFile("app.pid", []byte(pid), 0o600); err != nil { // in the working directory
			log.Fatal(err)
		}
		os.Exit(4)
	case "panic":
		panic("late fault")
	case "panic in a goroutine":
		go func() { panic("fault elsewhere") }()
		time.Sleep(time.Hour)
	case "fatal":
		log.Fatal(inUse)
	case "hang":
		time.Sleep(time.Hour)
	case "dawdle":
		dawdle()
		fallthrough // and serve
	case "leave a group out", "elsewhere early":
		serveWeb()
	}
	if strings.HasPrefix(fault, "late ") {
		serveWeb()
	}
	if length, ok := strings.CutPrefix(fault, "serve for "); ok {
		serveWeb()
		runFor(length)
		log.Fatal(inUse)
	}
}

func serveWeb() {
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.Serve(ln, nil)) }()
}

// elsewhere leaves the working directory, as a program may that wants to be in
// nobody's way.
func elsewhere() {
	if err := os.Chdir("/"); err != nil {
		log.Fatal(err)
	}
}

// dawdle says by the file "dawdles" in the working directory that it has been told
// what to do, and goes on when that is removed.
func dawdle() {
	if err := os.WriteFile("dawdles", nil, 0o600); err != nil {
		log.Fatal(err)
	}
	for {
		if _, err := os.Stat("dawdles"); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
