//go:build unix

package h2spec

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	spec2 "github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
	"golang.org/x/net/http2"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
)

// generation serves HTTP/2, without TLS or with it.
type generation struct {
	*listener.Listener
	succession *succession.Generation
}

// certificate is one that nobody looks at.
var certificate = sync.OnceValue(func() []tls.Certificate {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	return srv.TLS.Certificates
})

func newGeneration(t *testing.T, secure bool) *generation {
	t.Helper()
	serving, release := make(chan struct{}), make(chan struct{})
	opts := listener.Options{Group: "web", HandoverKey: "http web", Release: release, OnAccept: func() { close(serving) }}
	if secure {
		opts.HandoverKey, opts.SilentKey, opts.SealedKey = "", "https web", "https (TLS 1) web"
	}
	g := &generation{Listener: listener.New(loopback.Listen(t, "tcp"), opts)}
	g.succession = succession.New(t, g.Listener)
	served := net.Listener(g.Listener)
	if secure {
		served = listener.NewTLS(g.Listener, &tls.Config{Certificates: certificate(), NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13})
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(secure)
	protocols.SetUnencryptedHTTP2(!secure)
	srv := &httpx.Server{Server: &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, strings.Repeat("x", 100))
	})}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(served)
	}()
	t.Cleanup(func() {
		close(release)
		_ = srv.Close()
		<-ended
	})
	<-serving
	return g
}

// dial returns a connection to g, on which HTTP/2 begins.
func (g *generation) dial(secure bool) (conn, error) {
	c, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		return nil, err
	}
	if secure {
		return tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}), nil //nolint:gosec // of this test
	}
	return c.(*net.TCPConn), nil
}

type conn interface {
	net.Conn
	CloseWrite() error
}

// relay passes each connection on to a generation of its own, and has another one take it over when client and server have agreed
// on their settings. What the client says after that waits until then.
type relay struct {
	net.Listener
	t      *testing.T
	secure bool // on the way to the server
	moves  bool
	moved  atomic.Int32
	conns  sync.WaitGroup
}

func newRelay(t *testing.T, secure, moves bool) *relay {
	t.Helper()
	r := &relay{Listener: loopback.Listen(t, "tcp"), t: t, secure: secure, moves: moves}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := r.Accept()
			if err != nil {
				return
			}
			r.conns.Go(func() { r.pass(c) })
		}
	})
	t.Cleanup(func() {
		_ = r.Close()
		accepting.Wait()
		r.conns.Wait()
	})
	return r
}

func (r *relay) pass(client net.Conn) {
	defer func() { _ = client.Close() }()
	g := newGeneration(r.t, r.secure)
	server, err := g.dial(r.secure)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer func() { _ = server.Close() }()
	var answering sync.WaitGroup
	answering.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.(*net.TCPConn).CloseWrite()
	})
	defer answering.Wait()
	if r.moves && passSettings(server, client) {
		next := newGeneration(r.t, r.secure)
		g.succession.ReplaceBy(r.t, next.succession)
		for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if g.Stats().Out == 1 {
				r.moved.Add(1)
				break
			}
		}
	}
	_, _ = io.Copy(server, client)
	_ = server.CloseWrite()
}

// passSettings passes on what the client says until it has acknowledged the server's settings, and reports whether it has.
func passSettings(server io.Writer, client io.Reader) bool {
	b := make([]byte, len(http2.ClientPreface))
	n, err := io.ReadFull(client, b)
	_, _ = server.Write(b[:n])
	if err != nil || string(b) != http2.ClientPreface {
		return false
	}
	for {
		header := make([]byte, 9)
		n, err := io.ReadFull(client, header)
		if err != nil {
			_, _ = server.Write(header[:n])
			return false
		}
		length := int64(binary.BigEndian.Uint32(append([]byte{0}, header[:3]...)))
		_, _ = server.Write(header)
		if _, err := io.CopyN(server, client, length); err != nil || http2.FrameType(header[3]) != http2.FrameSettings {
			return false
		}
		if http2.Flags(header[4]).Has(http2.FlagSettingsAck) {
			return true
		}
	}
}

// failures returns the tests that fail, by their numbers and words.
func failures(all map[string]bool, g *spec.TestGroup) {
	for _, c := range g.Tests {
		if c.Result != nil && c.Result.Failed {
			all[g.ID()+": "+c.Desc] = true
		}
	}
	for _, sub := range g.Groups {
		failures(all, sub)
	}
}

func run(t *testing.T, secure, moves bool) (failed map[string]bool, tests int, moved int32) {
	t.Helper()
	r := newRelay(t, secure, moves)
	host, port, err := net.SplitHostPort(r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conf := &config.Config{Host: host, Path: "/", Timeout: 3 * time.Second, MaxHeaderLen: 4000}
	if conf.Port, err = net.LookupPort("tcp", port); err != nil {
		t.Fatal(err)
	}
	failed = make(map[string]bool)
	for _, s := range []*spec.TestGroup{generic.Spec(), spec2.Spec(), hpack.Spec()} {
		s.Test(conf)
		failures(failed, s)
		tests += s.PassedCount + s.FailedCount
	}
	return failed, tests, r.moved.Load()
}

// TestMovedConnectionsConform has a server on connections that have moved pass what it passes on others.
func TestMovedConnectionsConform(t *testing.T) {
	for name, secure := range map[string]bool{"clear": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			before, tests, _ := run(t, secure, false)
			after, same, moved := run(t, secure, true)
			t.Logf("%d tests, %d connections have moved, %d fail without a move: %v", tests, moved, len(before), before)
			if !maps.Equal(before, after) || tests != same {
				t.Errorf("after a move %d of %d tests fail: %v", len(after), same, after)
			}
			if int(moved) < tests/2 {
				t.Errorf("only %d connections have moved in %d tests", moved, tests)
			}
		})
	}
}
