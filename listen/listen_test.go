package listen_test

import (
	"crypto/tls"
	"errors"
	"net"
	"reflect"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
)

// accepted returns a listener with a connection, and the client's end of that.
func accepted(t *testing.T) (ln *listener.Listener, server, client net.Conn) {
	t.Helper()
	mem := memnet.Listen()
	ln = listener.New(mem, listener.Options{Group: "web"})
	dialed := make(chan net.Conn, 1)
	go func() {
		c, _ := mem.Dial()
		dialed <- c
	}()
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return ln, server, <-dialed
}

func TestFromConn(t *testing.T) {
	_, c, client := accepted(t)
	for _, layer := range []net.Conn{c, tls.Server(c, nil), struct{ net.Conn }{c}} {
		conn, ok := listen.FromConn(layer)
		if !ok || conn.Group() != "web" {
			t.Fatalf("%T: FromConn = %v, %v", layer, conn, ok)
		}
		if err := conn.Handover(nil); !errors.Is(err, listen.ErrNoSuccessor) {
			t.Errorf("%T: Handover = %v, want ErrNoSuccessor", layer, err)
		}
	}
	if conn, ok := listen.FromConn(client); ok || conn != nil {
		t.Errorf("the client's: FromConn = %v, %v, want nil, false", conn, ok)
	}
}

// A generation that serves again after its successor's death does not send the clients away that it has kept.
func TestIsDraining(t *testing.T) {
	ln, c, client := accepted(t)
	want := func(when string, draining bool) {
		t.Helper()
		for _, layer := range []net.Conn{c, tls.Server(c, nil)} {
			if got := listen.IsDraining(layer); got != draining {
				t.Errorf("%s: IsDraining of %T = %t", when, layer, got)
			}
		}
	}
	want("serving", false)
	ln.StopAccepting()
	want("draining", true)
	if err := ln.Resume(memnet.Listen()); err != nil {
		t.Fatal(err)
	}
	want("serving again", false)
	ln.StopAccepting()
	want("draining again", true)
	if listen.IsDraining(client) {
		t.Error("a connection that is none of a listener's is told to drain")
	}
}

func TestFromListener(t *testing.T) {
	mem := memnet.Listen()
	ln := listener.New(mem, listener.Options{Group: "web"})
	for _, layer := range []net.Listener{ln, listener.NewTLS(ln, nil)} {
		if found, ok := listen.FromListener(layer); !ok || found != listen.Listener(ln) {
			t.Errorf("%T: FromListener = %v, %v", layer, found, ok)
		}
	}
	for _, other := range []net.Listener{mem, nil} {
		if found, ok := listen.FromListener(other); ok || found != nil {
			t.Errorf("%T: FromListener = %v, %v, want nil, false", other, found, ok)
		}
	}
}

// The contract's interface and that of the connections must not drift apart: a program's own Conn, such as one of a test,
// is found as gozd's are.
func TestConnIsTheSameInside(t *testing.T) {
	contract, inside := reflect.TypeFor[listen.Conn](), reflect.TypeFor[listener.Conn]()
	if !contract.Implements(inside) || !inside.Implements(contract) {
		t.Errorf("%v and %v have different methods", contract, inside)
	}
}
