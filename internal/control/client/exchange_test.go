//go:build unix

package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

// A daemon that never ends the header of an answer must not have its operator's memory or time.
func TestHeaderWithoutEnd(t *testing.T) {
	pidfile := pidfileIn(t)
	ln, err := net.Listen("unix", protocol.SocketPath(pidfile, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
		for line := "X: " + strings.Repeat("x", 1000) + "\r\n"; err == nil; {
			_, err = io.WriteString(conn, line)
		}
	}()
	defer func() { <-gone }()
	defer ln.Close()
	if _, err := client.At(pidfile, os.Getpid()).Status(within(t)); !errors.Is(err, client.ErrProtocol) {
		t.Errorf("Status = %v, want ErrProtocol", err)
	}
}

// Who gives up waits no longer, and is told why: before the answer, and in the middle of it.
func TestCallerGivesUp(t *testing.T) {
	enough := errors.New("enough")
	for name, begin := range map[string]func(w http.ResponseWriter){
		"before the answer": func(http.ResponseWriter) {},
		"in the answer": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"generation":`)
			_ = http.NewResponseController(w).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, giveUp := context.WithCancelCause(within(t))
			c := own(t, func(w http.ResponseWriter, r *http.Request) {
				begin(w)
				giveUp(enough)
				<-r.Context().Done() // the client's connection is closed
			})
			if _, err := c.Status(ctx); !errors.Is(err, enough) {
				t.Errorf("Status = %v, want %v", err, enough)
			}
		})
	}
}
