// Command program is a daemon with WebSockets by three libraries, at /gorilla, /coder and /xnet. It answers each message with the generation, how many messages it has answered on the
// connection, and the message; and it says all the time how often it has said something: "tick 1", "tick 2", unless the query has quiet in it. Both counts go along.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/wsx"
)

// version is "mute" in a program without Resume.
var version string

func main() {
	exit := gozd.Daemonize()
	for _, group := range []string{"web", "secure"} {
		ln, err := gozd.Listen(group)
		if err != nil {
			log.Fatal(err)
		}
		srv := &httpx.Server{Server: &http.Server{Handler: http.HandlerFunc(begin)}, Resume: resume}
		if version == "mute" {
			srv.Resume = nil
		}
		go func() { log.Print(srv.Serve(ln)) }()
	}
	<-exit
}

// state goes along.
type state struct {
	Door     string `json:"door"` // the path and its query
	Answered int    `json:"answered"`
	Ticks    int    `json:"ticks"`
}

func begin(w http.ResponseWriter, r *http.Request) { serve(wsx.New(w, r), state{Door: r.URL.String()}) }

func resume(conn net.Conn, data []byte) {
	c, data, err := wsx.Resume(conn, data)
	if err != nil {
		log.Print(err)
		return
	}
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		log.Print(err)
	}
	if _, err := os.Stat("die"); err == nil {
		os.Exit(3)
	}
	serve(c, s)
}

func serve(c *wsx.Conn, s state) {
	defer c.Close()
	for {
		err := open(c, &s)
		if !errors.Is(err, wsx.ErrDraining) {
			log.Printf("%s ends: %v", s.Door, err)
			return
		}
		data, _ := json.Marshal(s)
		if strings.Contains(s.Door, "large") {
			data = append(data, make([]byte, wsx.MaxState)...)
		}
		if err = c.Handover(data); err == nil {
			return
		}
		log.Printf("%s stays: %v", s.Door, err)
	}
}

// open has a library take the connection, and returns the error that ends that.
func open(c *wsx.Conn, s *state) error {
	kind, _, _ := strings.Cut(s.Door, "?")
	compress := strings.Contains(s.Door, "compress")
	switch kind {
	case "/gorilla":
		return openGorilla(c, s, compress)
	case "/coder":
		return openCoder(c, s, compress)
	case "/xnet":
		return openXNet(c, s)
	}
	http.NotFound(c, c.Request())
	return errors.New("no such door")
}

// socket is a library's WebSocket.
type socket interface {
	read() (string, error)
	write(string) error
	close()
}

// talk serves a WebSocket until its read fails.
func talk(ws socket, s *state) error {
	defer ws.close()
	var ticking sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	ticking.Go(func() {
		if strings.Contains(s.Door, "quiet") {
			return
		}
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if ws.write(fmt.Sprintf("tick %d", s.Ticks+1)) != nil {
				return
			}
			s.Ticks++
		}
	})
	defer ticking.Wait()
	defer stop()
	for {
		text, err := ws.read()
		if err != nil {
			return err
		}
		s.Answered++
		if err := ws.write(fmt.Sprintf("%d %d %s", gozd.Generation(), s.Answered, text)); err != nil {
			return err
		}
	}
}
