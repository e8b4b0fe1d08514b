package main

import (
	"context"
	"strings"
	"sync"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	xnet "golang.org/x/net/websocket"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/wsx"
)

// maxMessage is more than any of the tests'.
const maxMessage = 1 << 22

// Each library is asked for the subprotocol "count", which it has to agree to again in each generation.
const subprotocol = "count"

type gorillaSocket struct {
	*gorilla.Conn
	writing sync.Mutex
}

func openGorilla(c *wsx.Conn, s *state, compress bool) error {
	up := gorilla.Upgrader{EnableCompression: compress, Subprotocols: []string{"other", subprotocol}}
	conn, err := up.Upgrade(c, c.Request(), nil)
	if err != nil {
		return err
	}
	return talk(&gorillaSocket{Conn: conn}, s)
}

func (g *gorillaSocket) read() (string, error) {
	_, data, err := g.ReadMessage()
	return string(data), err
}

func (g *gorillaSocket) write(text string) error {
	g.writing.Lock()
	defer g.writing.Unlock()
	return g.WriteMessage(gorilla.TextMessage, []byte(text))
}

func (g *gorillaSocket) close() { _ = g.Close() }

type coderSocket struct{ *coder.Conn }

func openCoder(c *wsx.Conn, s *state, compress bool) error {
	opts := &coder.AcceptOptions{Subprotocols: []string{"other", subprotocol}}
	if compress {
		opts.CompressionMode = coder.CompressionNoContextTakeover
	}
	if strings.Contains(s.Door, "takeover") {
		opts.CompressionMode = coder.CompressionContextTakeover
	}
	conn, err := coder.Accept(c, c.Request(), opts)
	if err != nil {
		return err
	}
	conn.SetReadLimit(maxMessage)
	return talk(coderSocket{conn}, s)
}

func (c coderSocket) read() (string, error) {
	_, data, err := c.Read(context.Background())
	return string(data), err
}

func (c coderSocket) write(text string) error {
	return c.Write(context.Background(), coder.MessageText, []byte(text))
}

func (c coderSocket) close() { _ = c.CloseNow() }

type xnetSocket struct{ *xnet.Conn }

func openXNet(c *wsx.Conn, s *state) (err error) {
	server := xnet.Server{Handler: func(conn *xnet.Conn) { err = talk(xnetSocket{conn}, s) }}
	server.ServeHTTP(c, c.Request())
	return err
}

func (x xnetSocket) read() (string, error) {
	var text string
	err := xnet.Message.Receive(x.Conn, &text)
	return text, err
}

func (x xnetSocket) write(text string) error { return xnet.Message.Send(x.Conn, text) }

func (x xnetSocket) close() { _ = x.Close() }
