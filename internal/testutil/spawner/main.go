// Command spawner is a daemon that starts other programs. Tests look at what these inherit.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os/exec"
	"runtime"
	"runtime/debug"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

func main() {
	exit := gozd.Daemonize()
	mux := http.NewServeMux()
	mux.HandleFunc("/sleep", sleep)
	mux.HandleFunc("/collect", collect)
	if err := gozd.RegistHandler("web", "spawner", mux); err != nil {
		log.Fatal(err)
	}
	if err := gozd.RegistHandler("line", "echo", echo); err != nil {
		log.Fatal(err)
	}
	<-exit
}

// sleep starts a program that outlives this one, and says its PID.
func sleep(w http.ResponseWriter, _ *http.Request) {
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, cmd.Process.Pid)
	go func() { _ = cmd.Wait() }()
}

// collect gives back the memory that is not in use, and says how many goroutines there are.
func collect(w http.ResponseWriter, _ *http.Request) {
	debug.FreeOSMemory()
	fmt.Fprintln(w, runtime.NumGoroutine())
}

// echo holds a connection for as long as its client likes.
func echo(conn gozd.Conn) { _, _ = io.Copy(conn, conn) }
