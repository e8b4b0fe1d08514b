package listener_test

import (
	"errors"
	"io"
	"net"
	"reflect"
	"syscall"
	"testing"

	"golang.org/x/net/nettest"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
)

func TestConnIsANetConn(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, side := range []string{"server", "client"} {
			t.Run(network+" "+side, func(t *testing.T) {
				nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
					ln := listener.New(raw(t, network), listener.Options{})
					server, client := pair(t, ln, to(ln))
					stop := func() { server.Close(); client.Close(); ln.Close() }
					if side == "client" {
						return client, server, stop, nil
					}
					return server, client, stop, nil
				})
			})
		}
	}
}

// What net/http, io.Copy and net.Buffers ask a connection for must be there,
// and ConnectionState must not: net/http would take the connection for TLS.
func TestConnHasTheMethodsOfItsSocket(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ln := listener.New(raw(t, network), listener.Options{})
			server, client := pair(t, ln, to(ln))
			has, want := reflect.TypeOf(server), reflect.TypeOf(client)
			for i := range want.NumMethod() {
				m := want.Method(i)
				if got, ok := has.MethodByName(m.Name); !ok {
					t.Errorf("%v has no method %s", has, m.Name)
				} else if a, b := signature(got), signature(m); a != b {
					t.Errorf("%v.%s is %s, want %s", has, m.Name, a, b)
				}
			}
			if _, ok := has.MethodByName("ConnectionState"); ok {
				t.Errorf("%v has a method ConnectionState", has)
			}
			// net.Buffers uses writev by a method that it does not export,
			// which only an embedded socket has.
			if _, ok := has.Elem().FieldByName(want.Elem().Name()); !ok {
				t.Errorf("%v does not embed %v", has, want)
			}
		})
	}
}

// signature is the method's type without its receiver.
func signature(m reflect.Method) string {
	t := m.Type
	s := m.Name
	for i := 1; i < t.NumIn(); i++ {
		s += " " + t.In(i).String()
	}
	s += " ->"
	for i := range t.NumOut() {
		s += " " + t.Out(i).String()
	}
	return s
}

func TestConnIsWhatIsAskedFor(t *testing.T) {
	type closeWriter interface{ CloseWrite() error }
	type closeReader interface{ CloseRead() error }
	for _, network := range []string{"tcp", "unix"} {
		ln := listener.New(raw(t, network), listener.Options{})
		server, _ := pair(t, ln, to(ln))
		_, readerFrom := server.(io.ReaderFrom)
		_, writerTo := server.(io.WriterTo)
		// The ReadFrom and WriteTo of a *net.UnixConn are for packets.
		if tcp := network == "tcp"; readerFrom != tcp || writerTo != tcp {
			t.Errorf("%s: io.ReaderFrom %v, io.WriterTo %v, want %v", network, readerFrom, writerTo, tcp)
		}
		if _, ok := server.(syscall.Conn); !ok {
			t.Errorf("%s: no syscall.Conn", network)
		}
		if _, ok := server.(closeWriter); !ok {
			t.Errorf("%s: no CloseWrite", network)
		}
		if _, ok := server.(closeReader); !ok {
			t.Errorf("%s: no CloseRead", network)
		}
	}
}

func TestConn(t *testing.T) {
	tests := []struct {
		name string
		pair func(t *testing.T, opts listener.Options) (*listener.Listener, net.Conn)
		want any
	}{
		{"tcp", overSocket("tcp"), (*net.TCPConn)(nil)},
		{"unix", overSocket("unix"), (*net.UnixConn)(nil)},
		{"memory", overMemory, newPipe()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ln, c := tt.pair(t, listener.Options{Group: "web"})
			conn := c.(listener.Conn)
			if conn.Group() != "web" || ln.Group() != "web" {
				t.Errorf("Group = %q, the listener's %q, want %q", conn.Group(), ln.Group(), "web")
			}
			if conn.State() != nil {
				t.Errorf("State = %q, want nil", conn.State())
			}
			if err := conn.Handover([]byte("x")); !errors.Is(err, listener.ErrNoSuccessor) {
				t.Errorf("Handover = %v, want ErrNoSuccessor", err)
			}
			if got, want := reflect.TypeOf(conn.NetConn()), reflect.TypeOf(tt.want); got != want {
				t.Errorf("NetConn is %v, want %v", got, want)
			}
			select {
			case <-conn.Draining():
				t.Error("Draining is closed before StopAccepting")
			default:
			}
			ln.StopAccepting()
			select {
			case <-conn.Draining():
			default:
				t.Error("Draining is open after StopAccepting")
			}
		})
	}
}

func overSocket(network string) func(*testing.T, listener.Options) (*listener.Listener, net.Conn) {
	return func(t *testing.T, opts listener.Options) (*listener.Listener, net.Conn) {
		t.Helper()
		ln := listener.New(raw(t, network), opts)
		server, _ := pair(t, ln, to(ln))
		return ln, server
	}
}

func overMemory(t *testing.T, opts listener.Options) (*listener.Listener, net.Conn) {
	t.Helper()
	ln, mem := inMemory(opts)
	server, _ := pair(t, ln, mem.Dial)
	return ln, server
}

func newPipe() net.Conn {
	c, _ := net.Pipe()
	return c
}

// net/http closes a connection twice.
func TestCloseTwiceCountsOnce(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ln := listener.New(raw(t, network), listener.Options{})
			first, _ := pair(t, ln, to(ln))
			second, _ := pair(t, ln, to(ln))
			if got, want := ln.Stats(), (listener.Stats{Open: 2, Accepted: 2}); got != want {
				t.Errorf("Stats = %+v, want %+v", got, want)
			}
			if err := first.Close(); err != nil {
				t.Errorf("first Close = %v, want nil", err)
			}
			if err := first.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("second Close = %v, want net.ErrClosed", err)
			}
			if got, want := ln.Stats(), (listener.Stats{Open: 1, Accepted: 2}); got != want {
				t.Errorf("Stats = %+v, want %+v", got, want)
			}
			second.Close()
		})
	}
}

// Errors on the data path are the socket's own, not wrapped: net/http asserts
// *net.OpError and net.Error.
func TestErrorsAreTheSocketsOwn(t *testing.T) {
	ln := listener.New(raw(t, "tcp"), listener.Options{})
	server, _ := pair(t, ln, to(ln))
	server.Close()
	if _, err := server.Read(make([]byte, 1)); reflect.TypeOf(err) != reflect.TypeFor[*net.OpError]() {
		t.Errorf("Read = %T, want *net.OpError", err)
	}
	ln.Close()
	if _, err := ln.Accept(); reflect.TypeOf(err) != reflect.TypeFor[*net.OpError]() {
		t.Errorf("Accept = %T, want *net.OpError", err)
	}
}

func TestFromConn(t *testing.T) {
	ln, mem := inMemory(listener.Options{})
	server, client := pair(t, ln, mem.Dial)
	serverTLS, _ := certificates(t)
	over := listener.NewTLS(ln, serverTLS)
	secure, _ := pair(t, over, mem.Dial)
	tests := []struct {
		name string
		in   net.Conn
		want bool
	}{
		{"itself", server, true},
		{"under TLS", secure, true},
		{"none", client, false},
		{"embedded in a layer", struct{ net.Conn }{server}, true},
		{"embedded in a layer's pointer", &struct{ net.Conn }{server}, true},
		{"unwrapped", unwrapper{Conn: client, inner: server}, true},
		{"a layer that hides it", hider{inner: server}, false},
		{"a layer over itself", &itself{}, false},
		{"a layer over nothing", overNothing{}, false},
		{"nil", nil, false},
	}
	for _, tt := range tests {
		conn, ok := listener.FromConn(tt.in)
		if ok != tt.want || (conn != nil) != tt.want {
			t.Errorf("%s: FromConn = %v, %v, want %v", tt.name, conn, ok, tt.want)
		}
	}
}

// unwrapper shows what it is over by a method, which counts more than what it embeds.
type unwrapper struct {
	net.Conn
	inner net.Conn
}

func (u unwrapper) Unwrap() net.Conn { return u.inner }

// hider has no way to what it is over.
type hider struct {
	hidden
	inner net.Conn
}

type hidden interface{ net.Conn }

// itself is a layer without end.
type itself struct{ net.Conn }

func (i *itself) NetConn() net.Conn { return i }

// overNothing is a layer whose connection is gone.
type overNothing struct{ net.Conn }

func (overNothing) NetConn() net.Conn { return nil }

func TestFromListener(t *testing.T) {
	mem := memnet.Listen()
	ln := listener.New(mem, listener.Options{})
	tests := []struct {
		name string
		in   net.Listener
		want *listener.Listener
	}{
		{"itself", ln, ln},
		{"under TLS", listener.NewTLS(ln, nil), ln},
		{"none", mem, nil},
		{"nil", nil, nil},
		{"a socket of nobody's", raw(t, "tcp"), nil},
	}
	for _, network := range []string{"tcp", "unix"} {
		inner := raw(t, network)
		over := listener.New(inner, listener.Options{})
		tests = append(tests, struct {
			name string
			in   net.Listener
			want *listener.Listener
		}{network + " below a layer", netLayer{over}, over}, struct {
			name string
			in   net.Listener
			want *listener.Listener
		}{network + ", the socket below", inner, nil})
	}
	for _, tt := range tests {
		got, ok := listener.FromListener(tt.in)
		if got != tt.want || ok != (tt.want != nil) {
			t.Errorf("%s: FromListener = %p, %v, want %p", tt.name, got, ok, tt.want)
		}
	}
}

// netLayer is a listener that others put around one of ours.
type netLayer struct{ net.Listener }
