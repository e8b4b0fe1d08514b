//go:build unix

package httpx_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/lockedbuf"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

// A write that its deadline has ended is the end of TLS, which the program learns at once. Without TLS nothing is lost by it.
func TestHandoverAfterALateWrite(t *testing.T) {
	for _, tt := range hijackedKinds {
		for _, moves := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s secure %v, moved %d times", tt.network, tt.secure, moves), func(t *testing.T) {
				late := &lineServer{name: "late", late: true}
				first := late
				if moves > 0 {
					first = &lineServer{name: "first"}
				}
				g := lineGeneration(t, tt.network, tt.secure, first)
				c := g.hijacker(t, tt.secure)
				if moves > 0 {
					next := lineGeneration(t, tt.network, tt.secure, late)
					g.replaceBy(t, next)
					g.wantMoved(t, 1)
					g = next
				}
				g.replaceBy(t, lineGeneration(t, tt.network, tt.secure, &lineServer{name: "last"}))
				if !tt.secure {
					g.wantMoved(t, 1)
					c.write("line\n")
					c.wantReply(t, "last: line")
					return
				}
				if err := <-late.refused; !errors.Is(err, net.ErrClosed) || !errors.Is(err, listen.ErrNoSuccessor) {
					t.Errorf("Handover = %v, want net.ErrClosed, and ErrNoSuccessor", err)
				}
				g.wantStayed(t, nil)
				c.Close()
			})
		}
	}
}

// A panic ends no more after a move than it does before.
func TestResumePanics(t *testing.T) {
	for _, tt := range []struct {
		value any
		says  []string // what is logged
	}{{"mistake", []string{"panic serving", "mistake"}}, {http.ErrAbortHandler, nil}} {
		t.Run(fmt.Sprint(tt.value), func(t *testing.T) {
			var logged lockedbuf.Buffer
			first := lineGeneration(t, "tcp", false, &lineServer{name: "first"})
			second := newResuming(t, "tcp", &httpx.Server{
				Server: &http.Server{Handler: status(http.StatusOK), ErrorLog: log.New(&logged, "", 0)},
				Resume: func(c net.Conn, _ []byte) {
					defer c.Close()
					panic(tt.value)
				},
			}, func(ln net.Listener) net.Listener { return ln })
			c := first.hijacker(t, false)
			first.replaceBy(t, second)
			if _, err := c.br.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("read %v, want EOF", err)
			}
			for _, says := range tt.says {
				eventually(t, "logged", func() bool { return strings.Contains(logged.String(), says) })
			}
			if got := logged.String(); tt.says == nil && got != "" {
				t.Errorf("logged %q", got)
			}
		})
	}
}
