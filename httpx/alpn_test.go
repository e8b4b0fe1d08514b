package httpx_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
)

// TestOffersWhatIsServed has clients that prefer HTTP/2 connect to servers that have none, over TLS: they are answered by
// HTTP/1.1.
func TestOffersWhatIsServed(t *testing.T) {
	only1, both := new(http.Protocols), new(http.Protocols)
	only1.SetHTTP1(true)
	both.SetHTTP1(true)
	both.SetHTTP2(true)
	none := map[string]func(*http.Server, *tls.Conn, http.Handler){}
	for _, tt := range []struct {
		name    string
		srv     *http.Server
		godebug string
		want    string
	}{
		{"the default", &http.Server{}, "", "h2"},
		{"both", &http.Server{Protocols: both}, "", "h2"},
		{"HTTP/1 only", &http.Server{Protocols: only1}, "", "http/1.1"},
		{"an empty TLSNextProto", &http.Server{TLSNextProto: none}, "", "http/1.1"},
		{"GODEBUG", &http.Server{}, "http2server=0", "http/1.1"},
		{"GODEBUG, the last counts", &http.Server{}, "http2server=0,http2server=1", "h2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.godebug != "" {
				t.Setenv("GODEBUG", tt.godebug)
			}
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, true, tt.srv)
				conf := clientTLS.Clone()
				conf.NextProtos = []string{"h2", "http/1.1"}
				c := tls.Client(s.dial(t), conf)
				defer c.Close()
				if err := c.HandshakeContext(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := c.ConnectionState().NegotiatedProtocol; got != tt.want {
					t.Fatalf("%s is agreed, want %s", got, tt.want)
				}
				if tt.want == "h2" {
					h2 := newClient2(t, c)
					h2.get(t, 1, "/")
					h2.want(t, "HEADERS 1 404")
					return
				}
				if resp := newClient1(c).get(t, "/", ""); resp.StatusCode != http.StatusNotFound {
					t.Errorf("status %s, want 404", resp.Status)
				}
			})
		})
	}
}

// TestProgramsTLSWouldNotCount has programs bring a TLS configuration to a group that has one: what it demands, such as
// certificates of clients, must not be left out in silence.
func TestProgramsTLSWouldNotCount(t *testing.T) {
	serve := func(s *httpx.Server) error {
		ln := listener.NewTLS(listener.New(memnet.Listen(), listener.Options{Group: "web"}), serverTLS.Clone())
		return s.Serve(ln)
	}
	strict := &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert}
	for _, tt := range []struct {
		name  string
		serve func() error
		want  string
	}{
		{"TLSConfig", func() error {
			return serve(&httpx.Server{Server: &http.Server{TLSConfig: strict}})
		}, "use Options.TLS, or leave TLSConfig out"},
		{"ServeTLS", func() error {
			ln := listener.NewTLS(listener.New(memnet.Listen(), listener.Options{Group: "web"}), serverTLS.Clone())
			return httpx.ServeTLS(ln, nil, "cert.pem", "key.pem")
		}, "use Serve, or mode http"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.serve()
			if err == nil || !strings.Contains(err.Error(), "group web: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Serve = %v, want an error with the group and %q", err, tt.want)
			}
		})
	}
}

// TestServerIsServedTwice: net/http's HTTP/2 sets TLSConfig when it is configured first, and that is not the program's.
func TestServerIsServedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, true, &http.Server{})
		mem := memnet.Listen()
		served := make(chan error, 1)
		go func() {
			served <- s.http.Serve(listener.NewTLS(listener.New(mem, listener.Options{}), serverTLS.Clone()))
		}()
		c, err := mem.Dial()
		if err != nil {
			t.Fatal(err)
		}
		conn := secure(t, c, "http/1.1")
		if resp := newClient1(conn).get(t, "/", ""); resp.StatusCode != http.StatusNotFound {
			t.Errorf("status %s, want 404", resp.Status)
		}
		c.Close() // or closing TLS would write to a client that does not read, under net/http's mutex: time stands still in the bubble then
		s.http.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve = %v, want ErrServerClosed", err)
		}
	})
}

// TestServerWithoutServer uses the zero value.
func TestServerWithoutServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, false, &httpx.Server{}, listener.Options{Group: "web"})
		c := s.dial(t)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
		if b, err := io.ReadAll(c); !strings.HasPrefix(string(b), "HTTP/1.1 404 ") {
			t.Errorf("the server says %q, %v, want 404", b, err)
		}
	})
}
