package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

// newRouter returns the routes of the http, https and fcgi groups.
func newRouter() *mux.Router {
	r := mux.NewRouter()
	r.Use(identify)
	r.HandleFunc("/", index).Methods(http.MethodGet)
	r.HandleFunc("/echo", echo).Methods(http.MethodPost)
	r.HandleFunc("/slow", slow).Methods(http.MethodGet)
	r.HandleFunc("/stream", stream).Methods(http.MethodGet)
	r.HandleFunc("/file", file).Methods(http.MethodGet)
	r.HandleFunc("/hijack", hijack).Methods(http.MethodGet)
	r.HandleFunc("/goroutines", goroutines).Methods(http.MethodGet)
	return r
}

type groupKey struct{}

// inGroup lets handlers know which group a request came in by.
func inGroup(group string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), groupKey{}, group)))
	})
}

// identify has every response say who gave it.
func identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Gozd-Generation", strconv.Itoa(gozd.Generation()))
		w.Header().Set("X-Gozd-Pid", strconv.Itoa(os.Getpid()))
		next.ServeHTTP(w, r)
	})
}

// index says in JSON who serves.
func index(w http.ResponseWriter, r *http.Request) {
	group, _ := r.Context().Value(groupKey{}).(string)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"group":      group,
		"generation": gozd.Generation(),
		"pid":        os.Getpid(),
		"version":    version,
	})
}

// maxBody bounds what a client can have this process keep in memory.
const maxBody = 64 << 20

// echo sends the body back. It reads all of it first: net/http throws away what
// has not been read when an HTTP/1.1 response begins.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// slow answers after the time d, one second by default.
func slow(w http.ResponseWriter, r *http.Request) {
	d, err := duration(r, "d", time.Second)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	time.Sleep(d)
	index(w, r)
}

// stream sends n lines, one every so often, each flushed, when it has read some bytes of the body.
func stream(w http.ResponseWriter, r *http.Request) {
	every, err1 := duration(r, "every", 200*time.Millisecond)
	n, err2 := number(r, "n", 10)
	read, err3 := number(r, "read", 0)
	if err := errors.Join(err1, err2, err3); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, int64(read))
	flush := http.NewResponseController(w)
	for i := range n {
		if i > 0 {
			time.Sleep(every)
		}
		fmt.Fprintf(w, "line %d of %d\n", i+1, n)
		_ = flush.Flush()
	}
}

// hijack takes the connection over and sends lines back on it.
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
	fmt.Fprintf(buf, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"+
		"X-Gozd-Generation: %d\r\nX-Gozd-Pid: %d\r\n\r\n", gozd.Generation(), os.Getpid())
	echoLines(buf.Reader, buf.Writer, "")
}

// sayGoodbye is told of a hijacked connection when this generation drains, and says a
// line to clients that have asked for one ("?goodbye=1").
func sayGoodbye(conn net.Conn, r *http.Request) {
	if r.URL.Query().Has("goodbye") {
		fmt.Fprintf(conn, "goodbye from generation %d\n", gozd.Generation())
	}
}

// serveLines is the handler of the tcp group: it sends each line back behind the
// process's PID.
func serveLines(conn gozd.Conn) {
	echoLines(bufio.NewReader(conn), bufio.NewWriter(conn), strconv.Itoa(os.Getpid())+" ")
}

// echoLines goes on until the client is done, whatever generation serves by then.
func echoLines(r *bufio.Reader, w *bufio.Writer, prefix string) {
	for w.Flush() == nil {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		_, _ = w.WriteString(prefix + line)
	}
}

// checkHealth is asked at the end of a probation: it is unwell as long as there is a
// file "unwell" in the working directory.
func checkHealth(context.Context) error {
	reason, err := os.ReadFile("unwell")
	if err != nil {
		return nil //nolint:nilerr // no such file: it is well
	}
	return errors.New(strings.TrimSpace(string(reason)))
}

// goroutines says how many goroutines this process has, for tests that look for
// leaks.
func goroutines(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, runtime.NumGoroutine())
}

func duration(r *http.Request, name string, missing time.Duration) (time.Duration, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return missing, nil
	}
	return time.ParseDuration(text)
}

func number(r *http.Request, name string, missing int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return missing, nil
	}
	return strconv.Atoi(text)
}
