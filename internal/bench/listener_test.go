package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// sides are a plain net.Listener with net/http, gozd's listener with net/http, and
// gozd's listener with httpx.
var sides = []struct {
	name  string
	wrap  func(net.Listener) net.Listener
	serve func(net.Listener, http.Handler) error
}{
	{"plain", func(ln net.Listener) net.Listener { return ln }, http.Serve},
	{"gozd", gozdListener, http.Serve},
	{"httpx", gozdListener, httpx.Serve},
}

func gozdListener(ln net.Listener) net.Listener {
	return listener.New(ln, listener.Options{Group: "web"})
}

func listenTCP(b *testing.B) net.Listener {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = ln.Close() })
	return ln
}

// BenchmarkSmall answers small requests on kept connections.
func BenchmarkSmall(b *testing.B) {
	for _, side := range sides {
		b.Run("side="+side.name, func(b *testing.B) {
			ln := listenTCP(b)
			go func() { _ = side.serve(side.wrap(ln), small) }()
			ask(b, func() (asker, error) { return dialing(ln, exchange) })
		})
	}
}

func exchange(conn net.Conn, r *bufio.Reader) error {
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// BenchmarkFile sends a file of 10 MB.
func BenchmarkFile(b *testing.B) {
	const size = 10 << 20
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, size), 0o600); err != nil {
		b.Fatal(err)
	}
	for _, side := range sides {
		b.Run("side="+side.name, func(b *testing.B) {
			ln := listenTCP(b)
			go func() { _ = side.serve(side.wrap(ln), http.FileServer(http.Dir(dir))) }()
			conn, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			r := bufio.NewReaderSize(conn, 256<<10)
			b.SetBytes(size)
			defer reportCPU(b)()
			for b.Loop() {
				if _, err := fmt.Fprint(conn, "GET /file HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					b.Fatal(err)
				}
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
					b.Fatalf("%d bytes, %v", n, err)
				}
			}
		})
	}
}

// BenchmarkAccept accepts connections and closes them.
func BenchmarkAccept(b *testing.B) {
	for _, side := range sides[:2] {
		b.Run("side="+side.name, func(b *testing.B) {
			ln := listenTCP(b)
			wrapped := side.wrap(ln)
			b.ReportAllocs()
			defer reportCPU(b)()
			for b.Loop() {
				client, err := net.Dial("tcp", ln.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				server, err := wrapped.Accept()
				if err != nil {
					b.Fatal(err)
				}
				_ = server.Close()
				_ = client.Close()
			}
		})
	}
}
