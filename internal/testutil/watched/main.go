// Command watched is a daemon for tests of the process in front of it: it leaves orphans,
// ends with any status, and says when it cleans up.
//
//	GET /orphans?n=3     starts so many processes whose parent ends before them
//	GET /exit?status=7   ends at once
//	GET /env             says what is in its environment
//	GET /notify?text=X   sends X to systemd, after=1s later
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	forget()
	exit := gozd.Daemonize()
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/orphans", orphans)
	http.HandleFunc("/exit", end)
	http.HandleFunc("/env", environment)
	http.HandleFunc("/notify", notify)
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, gozd.Generation()) })
	go func() { log.Print(httpx.Serve(ln, http.DefaultServeMux)) }()
	<-exit
	fmt.Fprintf(os.Stderr, "cleanup of generation %d\n", gozd.Generation())
}

// forget clears the environment, as a careful program does first of all, where a file says so. It counts there how often, and
// ends a program that starts itself time and again.
func forget() {
	f, err := os.OpenFile("forget", os.O_APPEND|os.O_RDWR, 0)
	if err != nil {
		return
	}
	os.Clearenv()
	_, _ = f.WriteString(".")
	if info, err := f.Stat(); err != nil || info.Size() > 5 {
		os.Exit(3)
	}
	_ = f.Close()
}

// orphans has a shell start processes in the background and end before them.
func orphans(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err == nil {
		err = exec.Command("sh", "-c", fmt.Sprintf("for i in $(seq %d); do sleep 0.2 & done", n)).Run()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func end(_ http.ResponseWriter, r *http.Request) {
	status, _ := strconv.Atoi(r.URL.Query().Get("status"))
	os.Exit(status)
}

func environment(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, strings.Join(os.Environ(), "\n"))
}

func notify(w http.ResponseWriter, r *http.Request) {
	after, _ := time.ParseDuration(r.URL.Query().Get("after")) // at once without
	time.Sleep(after)
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err == nil {
		_, err = conn.Write([]byte(r.URL.Query().Get("text")))
		_ = conn.Close()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
