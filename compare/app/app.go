// Package app is the program that every tool serves in the comparison. It is a
// module of its own, with nothing but the standard library, since the programs of
// some tools are modules too.
package app

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// ServingHeader says which process has answered. A proxy that is itself upgraded
// puts its own name in.
const ServingHeader = "X-Serving"

// maxBody bounds what a client can have this process keep in memory.
const maxBody = 1 << 20

// Handler answers the clients of the comparison: POST /echo, GET /, GET /held,
// which never ends, and GET /hijack, which becomes a stream of lines.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", index)
	mux.HandleFunc("POST /echo", echo)
	mux.HandleFunc("GET /held", held)
	mux.HandleFunc("GET /hijack", hijack)
	pid := strconv.Itoa(os.Getpid())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set(ServingHeader, pid)
		h.Set("X-Gozd-Pid", pid)
		h.Set("X-Gozd-Generation", "1") // most tools do not count
		mux.ServeHTTP(w, r)
	})
}

func index(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]int{"generation": 1, "pid": os.Getpid()})
}

// echo sends the body back. It reads all of it first, as most handlers do.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// held writes a line every 50 ms, for as long as the client stays.
func held(w http.ResponseWriter, r *http.Request) {
	out := http.NewResponseController(w)
	for wait(r.Context(), 50*time.Millisecond) {
		if _, err := io.WriteString(w, "line\n"); err != nil || out.Flush() != nil {
			return
		}
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// hijack takes the connection over and sends its lines back, as a WebSocket would.
func hijack(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "echo" {
		http.Error(w, "Upgrade: echo is missing", http.StatusUpgradeRequired)
		return
	}
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(buf, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n")
	_ = w.Header().Write(buf)
	_, _ = io.WriteString(buf, "\r\n")
	sendBack(buf)
}

func sendBack(buf *bufio.ReadWriter) {
	for buf.Flush() == nil {
		line, err := buf.ReadSlice('\n')
		if err != nil {
			return
		}
		_, _ = buf.Write(line)
	}
}
