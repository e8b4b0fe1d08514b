// Command turncoat is a daemon whose own code has turned against whoever started it: it serves, and
// does to its supervisor what its clients say.
//
//	GET /             the generation that answers
//	GET /pid          its process
//	GET /speak?text=X&files=N  says X to the supervisor on the generations' channel, with N descriptors
//	GET /notify?text=X         says X to systemd
//	GET /key?name=X            whether it finds that key in its session keyring
//
// A file "words" in the working directory is what it says when it starts, in a panic. It makes a file run/roots its log before that.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

func main() {
	exit := gozd.Daemonize()
	if words, err := os.ReadFile("words"); err == nil {
		_ = os.Rename("run/roots", "run/app.log") // if there is one
		panic(string(words))
	}
	ln, err := gozd.Listen("web")
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/speak", answer(speak))
	http.HandleFunc("/notify", answer(notify))
	http.HandleFunc("/key", func(w http.ResponseWriter, r *http.Request) {
		_, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "user", r.FormValue("name"), 0)
		fmt.Fprintln(w, "key:", err)
	})
	http.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, os.Getpid()) })
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, gozd.Generation()) })
	go func() { log.Print(httpx.Serve(ln, http.DefaultServeMux)) }()
	if side, err := gozd.Listen("side"); err == nil { // few configurations have it
		go func() { log.Print(httpx.Serve(side, http.DefaultServeMux)) }()
	}
	<-exit
}

// answer has a client know of an error.
func answer(do func(r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := do(r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
}

// speak looks for the channel among this process's descriptors: it is the socket that keeps
// messages apart and has an end.
func speak(r *http.Request) error {
	n, _ := strconv.Atoi(r.FormValue("files")) // none without
	files, err := open(n)
	defer closeAll(files)
	if err != nil {
		return err
	}
	const highest = 256
	for fd := range highest {
		if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err == nil && kind == unix.SOCK_SEQPACKET {
			return unix.Sendmsg(fd, []byte(r.FormValue("text")), rights(files), nil, unix.MSG_NOSIGNAL)
		}
	}
	return fmt.Errorf("there is no channel among %d descriptors", highest)
}

func open(n int) (files []int, err error) {
	for range n {
		fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return files, err
		}
		files = append(files, fd)
	}
	return files, nil
}

func closeAll(files []int) {
	for _, fd := range files {
		_ = unix.Close(fd)
	}
}

func rights(files []int) []byte {
	if len(files) == 0 {
		return nil
	}
	return unix.UnixRights(files...)
}

func notify(r *http.Request) error {
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = conn.Write([]byte(r.FormValue("text")))
	return err
}
