//go:build unix

package listener_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// readToEnd reads as a handler does for which the end of what the client sends is the end of a message.
var readToEnd = map[string]func(c net.Conn) (string, error){
	"Read": func(c net.Conn) (string, error) {
		b, err := io.ReadAll(struct{ io.Reader }{c})
		return string(b), err
	},
	"io.Copy": func(c net.Conn) (string, error) {
		var b strings.Builder
		_, err := io.Copy(&b, c)
		return b.String(), err
	},
	"an adapter": func(c net.Conn) (string, error) {
		r := new(listener.IdleReader)
		r.Init(c.(listener.Conn), func(int) bool { return false })
		b, err := io.ReadAll(r)
		return string(b), err
	},
}

// At a drain's deadline, whoever reads does not take what has come for all that the client wanted to say, unless the client has said so.
func TestCutIsNotTheClientsEnd(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for name, read := range readToEnd {
			for _, ended := range []bool{false, true} {
				t.Run(strings.Join([]string{network, name, map[bool]string{true: "ended", false: "not ended"}[ended]}, "/"), func(t *testing.T) {
					if ended && runtime.GOOS != "linux" {
						t.Skip("it cannot be known there")
					}
					ln := listener.New(raw(t, network), listener.Options{})
					c, client := pair(t, ln, to(ln))
					if _, err := io.WriteString(client, "pay 100"); err != nil {
						t.Fatal(err)
					}
					if ended {
						if err := client.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
							t.Fatal(err)
						}
					}
					drained := make(chan struct{})
					go func() {
						ln.Drain(expired())
						close(drained)
					}()
					text, err := read(c)
					if text != "pay 100" || ended != (err == nil) || err != nil && !errors.Is(err, listener.ErrCut) {
						t.Errorf("read %q, %v", text, err)
					}
					_ = c.Close()
					<-drained
				})
			}
		}
	}
}

// layer is one over a connection, such as TLS, whose client has said in its own way that he sends no more.
type layer struct{ net.Conn }

func (layer) Read([]byte) (int, error) { return 0, io.EOF }

// The end that a layer tells of is the client's: where it is not, the layer has heard so from the connection.
func TestEndOfALayerAfterTheDeadline(t *testing.T) {
	ln := listener.New(raw(t, "tcp"), listener.Options{})
	c, _ := pair(t, ln, to(ln))
	drained := make(chan struct{})
	go func() {
		ln.Drain(expired())
		close(drained)
	}()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, listener.ErrCut) {
		t.Errorf("the connection: %v, want %v", err, listener.ErrCut)
	}
	r := new(listener.IdleReader)
	r.InitSealed(layer{c}, c.(listener.Conn), nil, func(int) bool { return false })
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the layer: %v, want %v", err, io.EOF)
	}
	_ = c.Close()
	<-drained
}
