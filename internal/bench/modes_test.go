package bench

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/fcgix"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/tlspeer"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

// asker does one exchange after another, on a connection that it keeps.
type asker struct {
	ask   func() error
	close func() error
}

// ask has askers of their own in each goroutine.
func ask(b *testing.B, open func() (asker, error)) {
	b.Helper()
	b.ReportAllocs()
	defer reportCPU(b)()
	b.RunParallel(func(pb *testing.PB) {
		a, err := open()
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = a.close() }()
		for pb.Next() {
			if err := a.ask(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// asking is an asker on a connection that has been dialed.
func asking(conn net.Conn, exchange func(net.Conn, *bufio.Reader) error) asker {
	r := bufio.NewReader(conn)
	return asker{func() error { return exchange(conn, r) }, conn.Close}
}

// small answers with two bytes.
var small = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })

// secureSides are those of TLS. On the last one, connections can move with their keys.
var secureSides = []struct {
	name  string
	wrap  func(net.Listener, *tls.Config) net.Listener
	serve func(net.Listener, http.Handler) error
}{
	{"plain", tls.NewListener, http.Serve},
	{"gozd", secureListener, http.Serve},
	{"httpx", secureListener, httpx.Serve},
	{"moves", movingListener, httpx.Serve},
}

func secureListener(ln net.Listener, config *tls.Config) net.Listener {
	return listener.NewTLS(listener.New(ln, listener.Options{Group: "web"}), config)
}

func movingListener(ln net.Listener, config *tls.Config) net.Listener {
	return listener.NewTLS(listener.New(ln, listener.Options{Group: "web", SilentKey: "silent", SealedKey: "sealed"}), config)
}

// BenchmarkTLS answers small requests of HTTP/1.1 on kept connections over TLS.
func BenchmarkTLS(b *testing.B) {
	for _, side := range secureSides {
		b.Run("side="+side.name, func(b *testing.B) {
			ln := loopback.Listen(b, "tcp")
			go func() { _ = side.serve(side.wrap(ln, tlspeer.ServerConfig(b)), small) }()
			ask(b, func() (asker, error) {
				conn, err := tls.Dial("tcp", ln.Addr().String(), tlspeer.ClientConfig(new(tlspeer.Log)))
				if err != nil {
					return asker{}, err
				}
				return asking(conn, exchange), nil
			})
		})
	}
}

// BenchmarkHTTP2 answers small requests of HTTP/2, one after the other on each connection.
func BenchmarkHTTP2(b *testing.B) {
	for _, side := range secureSides {
		b.Run("side="+side.name, func(b *testing.B) {
			ln := loopback.Listen(b, "tcp")
			config := tlspeer.ServerConfig(b)
			config.NextProtos = []string{"h2", "http/1.1"}
			go func() { _ = side.serve(side.wrap(ln, config), small) }()
			ask(b, func() (asker, error) { return askingHTTP2(ln.Addr().String()) })
		})
	}
}

func askingHTTP2(address string) (asker, error) {
	c, err := dialBareHTTP2(address)
	if err != nil {
		return asker{}, err
	}
	return asker{c.ask, c.conn.Close}, nil
}

// BenchmarkUnix answers small requests on kept connections of a Unix socket.
func BenchmarkUnix(b *testing.B) {
	for _, side := range sides {
		b.Run("side="+side.name, func(b *testing.B) {
			ln := loopback.Listen(b, "unix")
			go func() { _ = side.serve(side.wrap(ln), small) }()
			ask(b, func() (asker, error) { return dialing(ln, exchange) })
		})
	}
}

// dialing dials a listener.
func dialing(ln net.Listener, exchange func(net.Conn, *bufio.Reader) error) (asker, error) {
	conn, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
	if err != nil {
		return asker{}, err
	}
	return asking(conn, exchange), nil
}

// BenchmarkFastCGI answers small requests on connections that a web server keeps.
func BenchmarkFastCGI(b *testing.B) {
	for _, side := range []struct {
		name  string
		wrap  func(net.Listener) net.Listener
		serve func(net.Listener, http.Handler) error
	}{{"plain", sides[0].wrap, fcgi.Serve}, {"fcgix", gozdListener, fcgix.Serve}} {
		b.Run("side="+side.name, func(b *testing.B) {
			ln := loopback.Listen(b, "tcp")
			go func() { _ = side.serve(side.wrap(ln), small) }()
			params := map[string]string{"REQUEST_METHOD": "GET", "REQUEST_URI": "/", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "x"}
			request := load.FCGIRequest{ID: 1, KeepConn: true, Params: params}.Append(nil)
			ask(b, func() (asker, error) {
				var answers *load.FCGIReader
				return dialing(ln, func(conn net.Conn, r *bufio.Reader) error {
					if answers == nil {
						answers = load.NewFCGIReader(r)
					}
					if _, err := conn.Write(request); err != nil {
						return err
					}
					resp, err := answers.Response(1)
					if err != nil {
						return err
					}
					if string(resp.Body) != "ok" {
						return fmt.Errorf("answered %d %q", resp.Status, resp.Body)
					}
					return nil
				})
			})
		})
	}
}

// BenchmarkTCP answers lines on kept connections.
func BenchmarkTCP(b *testing.B) {
	for _, side := range []struct {
		name  string
		serve func(net.Listener)
	}{
		{"plain", serveLines},
		{"gozd", func(ln net.Listener) { serveLines(gozdListener(ln)) }},
		{"tcpx", func(ln net.Listener) { _ = tcpx.Serve(gozdListener(ln), func(c listen.Conn) { answerLines(c) }) }},
	} {
		b.Run("side="+side.name, func(b *testing.B) {
			ln := loopback.Listen(b, "tcp")
			go side.serve(ln)
			ask(b, func() (asker, error) {
				return dialing(ln, func(conn net.Conn, r *bufio.Reader) error {
					if _, err := io.WriteString(conn, "line\n"); err != nil {
						return err
					}
					_, err := r.ReadSlice('\n')
					return err
				})
			})
		})
	}
}

// serveLines is a program without an adapter.
func serveLines(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go answerLines(conn)
	}
}

func answerLines(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		if _, err := conn.Write(line); err != nil {
			return
		}
	}
}
