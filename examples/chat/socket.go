package main

import (
	"fmt"
	"log"
	"net"
	"net/http"

	"golang.org/x/net/websocket"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/wsx"
)

// page is a client for browsers.
const page = `<!DOCTYPE html>
<meta charset="utf-8"><title>chat</title>
<pre id="said"></pre>
<form><input id="line" autofocus size="60"></form>
<script>
const ws = new WebSocket(location.href.replace(/^http/, "ws") + "ws")
ws.onmessage = e => said.textContent += e.data
ws.onclose = () => said.textContent += "* disconnected\n"
document.forms[0].onsubmit = e => { e.preventDefault(); ws.send(line.value); line.value = "" }
</script>
`

// serveWeb is the door for browsers.
func (h *hall) serveWeb(ln net.Listener) {
	routes := http.NewServeMux()
	routes.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, page)
	})
	routes.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) { h.serveSocket(wsx.New(w, r), nil) })
	srv := &httpx.Server{Server: &http.Server{Handler: routes}, Resume: h.resumeSocket}
	log.Print(srv.Serve(ln))
}

// resumeSocket goes on with a WebSocket of the previous generation.
func (h *hall) resumeSocket(conn net.Conn, data []byte) {
	c, data, err := wsx.Resume(conn, data)
	if err != nil {
		log.Print(err)
		return
	}
	h.serveSocket(c, data)
}

// serveSocket is serve for a WebSocket, which the library takes anew where nobody has taken it over.
func (h *hall) serveSocket(c *wsx.Conn, data []byte) {
	defer c.Close()
	u := h.admit(data)
	u.patience = messageTime
	result := stays
	for result == stays {
		result = left
		websocket.Server{Handshake: sameOrigin, Handler: func(ws *websocket.Conn) {
			ws.MaxPayloadBytes = maxLine - 1
			s := &socket{Conn: ws, below: c}
			result = u.talk(s, s, c.Handover)
		}}.ServeHTTP(c, c.Request())
	}
	if result == left {
		h.leave(u.me) // also where the library has not begun
	}
}

// sameOrigin keeps pages of other sites out.
func sameOrigin(conf *websocket.Config, r *http.Request) error {
	origin, err := websocket.Origin(conf, r)
	if err == nil && origin != nil && origin.Host != r.Host {
		err = fmt.Errorf("a page of %s", origin.Host)
	}
	return err
}

// socket is a WebSocket as a connection. Each message from the client is a line, or several; what is written is a message.
type socket struct {
	*websocket.Conn
	below *wsx.Conn
	line  string // was received, and is not read yet
}

func (s *socket) Read(b []byte) (int, error) {
	if s.line == "" {
		var text string
		if err := websocket.Message.Receive(s.Conn, &text); err != nil {
			return 0, err
		}
		s.line = text + "\n"
	}
	n := copy(b, s.line)
	s.line = s.line[n:]
	return n, nil
}

// Write says of a message that has not been written whole that nothing has: the
// library says that all has.
func (s *socket) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Close does not wait until a writer has ended, as the library's would.
func (s *socket) Close() error { return s.below.Close() }
