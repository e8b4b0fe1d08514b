package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
)

// feed is a file with a line for each event. It is what the generations have in common: one of them writes it, all read it. An event's ID is
// where the next one begins.
type feed struct{ path string }

// produce returns what adds an event now and then.
func (f feed) produce(every time.Duration) func(context.Context) {
	return func(ctx context.Context) {
		file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			log.Fatal(err) // the generation before goes on
		}
		defer file.Close()
		all, err := io.ReadAll(file)
		if err != nil {
			log.Fatal(err)
		}
		tick := time.NewTicker(every)
		defer tick.Stop()
		for n := bytes.Count(all, []byte("\n")) + 1; ; n++ {
			select {
			case <-tick.C:
				if _, err := fmt.Fprintf(file, "%d\n", n); err != nil {
					log.Fatal(err)
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

const (
	retry = 500 * time.Millisecond // after which a client connects again
	look  = 50 * time.Millisecond  // how often there may be something new
)

// ServeHTTP sends the events after the one that the client had last, and those to come for a new client.
func (f feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, err := os.OpenFile(f.path, os.O_RDONLY|os.O_CREATE, 0o600) // the first client may come before the first event
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer file.Close()
	id, err := begin(file, r.Header.Get("Last-Event-ID"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Gozd-Generation", strconv.Itoa(gozd.Generation()))
	fmt.Fprintf(w, "retry: %d\nid: %d\n\n", retry.Milliseconds(), id) // no event, and the client knows where it is
	send(w, r, bufio.NewReader(file), id)
}

// begin goes to where a client goes on, or to the end.
func begin(file io.Seeker, last string) (int64, error) {
	if last == "" {
		return file.Seek(0, io.SeekEnd)
	}
	id, err := strconv.ParseInt(last, 10, 64)
	if err != nil {
		return 0, err
	}
	return file.Seek(id, io.SeekStart)
}

// send returns when the client is gone, or should connect to the next generation.
func send(w http.ResponseWriter, r *http.Request, lines *bufio.Reader, id int64) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	draining := httpx.Draining(r.Context())
	for begun := ""; ; {
		line, err := lines.ReadString('\n')
		begun += line
		if err == nil {
			id += int64(len(begun))
			fmt.Fprintf(w, "id: %d\ndata: %s\n", id, begun) // which ends its line
			begun = ""
			continue
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-draining:
			return
		case <-r.Context().Done():
			return
		}
	}
}
