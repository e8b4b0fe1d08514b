package tcpx_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/listen"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

// connected returns a listener in memory, and both sides of a connection of it.
func connected(t *testing.T) (ln *listener.Listener, server listen.Conn, client net.Conn) {
	t.Helper()
	mem := memnet.Listen()
	ln = listener.New(mem, listener.Options{Group: "line"})
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := ln.Accept()
		accepted <- c
	}()
	client = mustDial(t, mem.Dial)
	server = (<-accepted).(listen.Conn)
	t.Cleanup(func() {
		server.Close()
		ln.Close()
	})
	return ln, server, client
}

// result is what a Read returned.
type result struct {
	text string
	err  error
}

// read has a Read wait on r, and sends its result.
func read(r io.Reader) <-chan result {
	done := make(chan result, 1)
	go func() {
		b := make([]byte, 100)
		n, err := r.Read(b)
		done <- result{string(b[:n]), err}
	}()
	return done
}

func wantRead(t *testing.T, r io.Reader, text string, err error) {
	t.Helper()
	if got := <-read(r); got.text != text || !errors.Is(got.err, err) {
		t.Errorf("Read = %q, %v, want %q, %v", got.text, got.err, text, err)
	}
}

func TestReaderWakesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, server, client := connected(t)
		r := tcpx.NewReader(server)
		waiting := read(r)
		synctest.Wait()
		if len(waiting) != 0 {
			t.Fatal("Read returned before there was anything")
		}
		ln.StopAccepting()
		if got := <-waiting; got != (result{"", tcpx.ErrDraining}) {
			t.Fatalf("Read = %q, %v, want ErrDraining", got.text, got.err)
		}
		waiting = read(r)
		time.Sleep(time.Hour) // no deadline is left behind
		io.WriteString(client, "hello")
		if got := <-waiting; got != (result{"hello", nil}) {
			t.Errorf("the next Read = %q, %v, want %q", got.text, got.err, "hello")
		}
		client.Close()
		wantRead(t, r, "", io.EOF)
	})
}

// What has arrived when the generation drains is left to whoever reads next.
func TestReaderLeavesInputInTheSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, server, client := connected(t)
		r := tcpx.NewReader(server)
		go io.WriteString(client, "hello")
		ln.StopAccepting()
		wantRead(t, r, "", tcpx.ErrDraining)
		wantRead(t, r, "hello", nil)
	})
}

// A bufio.Reader returns the lines that it has, and then the beginning of one.
func TestReaderUnderBufio(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, server, client := connected(t)
		lines := bufio.NewReader(tcpx.NewReader(server))
		go func() {
			io.WriteString(client, "one\ntwo\nthr")
			synctest.Wait()
			ln.StopAccepting()
			synctest.Wait() // ErrDraining has come, and nothing else
			io.WriteString(client, "ee\n")
		}()
		for _, want := range []struct {
			text string
			err  error
		}{{"one\n", nil}, {"two\n", nil}, {"thr", tcpx.ErrDraining}, {"ee\n", nil}} {
			if text, err := lines.ReadString('\n'); text != want.text || !errors.Is(err, want.err) {
				t.Errorf("ReadString = %q, %v, want %q, %v", text, err, want.text, want.err)
			}
		}
	})
}

func TestReaderKeepsTheProgramsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, server, _ := connected(t)
		r := tcpx.NewReader(server)
		start := time.Now()
		if err := r.SetReadDeadline(start.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		wantRead(t, r, "", os.ErrDeadlineExceeded)
		wantRead(t, r, "", os.ErrDeadlineExceeded) // also at once
		if err := r.SetReadDeadline(start.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		waiting := read(r)
		synctest.Wait()
		ln.StopAccepting()
		if got := <-waiting; !errors.Is(got.err, tcpx.ErrDraining) {
			t.Errorf("Read = %q, %v, want ErrDraining", got.text, got.err)
		}
		wantRead(t, r, "", os.ErrDeadlineExceeded)
		if took := time.Since(start); took != time.Hour {
			t.Errorf("the deadline passed after %v, want 1h", took)
		}
	})
}

// A deadline that is set while a Read waits ends it, as on the connection.
func TestReaderDeadlineDuringRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server, _ := connected(t)
		r := tcpx.NewReader(server)
		waiting := read(r)
		synctest.Wait()
		if err := r.SetReadDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		if got := <-waiting; !errors.Is(got.err, os.ErrDeadlineExceeded) {
			t.Errorf("Read = %q, %v, want a timeout", got.text, got.err)
		}
	})
}

func TestReaderAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, server, _ := connected(t)
		r := tcpx.NewReader(server)
		waiting := read(r)
		synctest.Wait()
		server.Close()
		if got := <-waiting; got.err == nil || errors.Is(got.err, tcpx.ErrDraining) {
			t.Errorf("Read on a connection that is closed = %q, %v, want its error", got.text, got.err)
		}
		ln.StopAccepting() // its goroutine is gone
	})
}

// Input and the end of accepting meet at every moment, and nothing is lost or read
// twice.
func TestReaderMeetsInput(t *testing.T) {
	for i := range 300 {
		ln := listener.New(loopback.Listen(t, "tcp"), listener.Options{})
		client := mustDial(t, func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) })
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		server := c.(listen.Conn)
		limit(t, client)
		all := make(chan result, 1)
		times := 0
		go func() {
			r, text := tcpx.NewReader(server), ""
			for b := make([]byte, 3); ; {
				n, err := r.Read(b)
				text += string(b[:n])
				if errors.Is(err, tcpx.ErrDraining) {
					times++
					continue
				}
				if err != nil {
					all <- result{text, err}
					return
				}
			}
		}()
		drained := make(chan bool)
		go func() {
			for range 10 * i {
				runtime.Gosched()
			}
			ln.StopAccepting()
			close(drained)
		}()
		want := ""
		for n := range 20 {
			part := fmt.Sprint(n, " ")
			io.WriteString(client, part)
			want += part
		}
		<-drained
		client.(*net.TCPConn).CloseWrite()
		if got := <-all; got.text != want || !errors.Is(got.err, io.EOF) || times > 1 {
			t.Fatalf("read %q, %v, want %q; ErrDraining %d times", got.text, got.err, want, times)
		}
		server.Close()
		client.Close()
	}
}

func TestReaderUnderTLS(t *testing.T) {
	srv := httptest.NewTLSServer(nil)
	srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	ln := listener.New(loopback.Listen(t, "tcp"), listener.Options{Group: "line"})
	reading, told := make(chan bool), false
	served := serve(listener.NewTLS(ln, &tls.Config{Certificates: srv.TLS.Certificates}), func(c listen.Conn) {
		r := tcpx.NewReader(c)
		close(reading)
		for b := make([]byte, 100); ; {
			n, err := r.Read(b) // the first one does the handshake
			if errors.Is(err, tcpx.ErrDraining) {
				told = true
				continue
			}
			if err != nil {
				return
			}
			c.Write(b[:n])
		}
	})
	plain := mustDial(t, func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) })
	<-reading
	ln.StopAccepting()
	c := tls.Client(plain, &tls.Config{RootCAs: roots, ServerName: "example.com"})
	limit(t, c)
	for range 2 {
		io.WriteString(c, "hello")
		b := make([]byte, len("hello"))
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
			t.Fatalf("answer %q, %v, want %q", b, err, "hello")
		}
	}
	c.Close()
	wantClosed(t, served)
	if !told {
		t.Error("Read has not returned ErrDraining")
	}
}

func ExampleReader() {
	ln, err := net.Listen("tcp", "127.0.0.1:2133") // or gozd.Listen("line")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(tcpx.Serve(ln, func(conn listen.Conn) {
		lines := bufio.NewReader(tcpx.NewReader(conn))
		line := string(conn.State()) // the beginning of one, after an upgrade
		for {
			text, err := lines.ReadString('\n')
			line += text
			if errors.Is(err, tcpx.ErrDraining) {
				if conn.Handover([]byte(line)) == nil {
					return // it is the successor's now
				}
				continue // nobody takes it, so it is served here to its end
			}
			if err != nil {
				return
			}
			fmt.Fprint(conn, "you said: ", line)
			line = ""
		}
	}))
}
