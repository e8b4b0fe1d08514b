package listener_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

func init() {
	roles["move bytes raw"] = reexec.OrFail(func() error { return moveBytes(net.Listen) })
	roles["move bytes gozd"] = reexec.OrFail(func() error {
		return moveBytes(func(network, address string) (net.Listener, error) {
			ln, err := net.Listen(network, address)
			if err != nil {
				return nil, err
			}
			return listener.New(ln, listener.Options{}), nil
		})
	})
}

// movedSize is how much is sent in each way that has a system call of its own.
const movedSize = 1 << 20

// With no upgrade in progress gozd costs nothing: bytes move by the same system
// calls as on a raw socket.
func TestSystemCallsAreTheSockets(t *testing.T) {
	strace := require.Tool(t, "strace", "package strace")
	if out, err := exec.CommandContext(t.Context(), strace, "-f", "--seccomp-bpf", "true").CombinedOutput(); err != nil {
		require.Missing(t, fmt.Sprintf("strace -f --seccomp-bpf does not work here: %v\n%s", err, out))
	}
	raw, gozd := trace(t, strace, "move bytes raw"), trace(t, strace, "move bytes gozd")
	atLeast := map[string]int{
		"sendfile": movedSize - 512, // net/http writes what it sniffs itself
		"splice":   2 * movedSize,   // into a pipe and out of it
		"writev":   movedSize,
	}
	for call, n := range atLeast {
		if gozd[call] != raw[call] || raw[call] < n {
			t.Errorf("%s moved %d bytes on gozd connections and %d on raw ones, want %d", call, gozd[call], raw[call], n)
		}
	}
}

var result = regexp.MustCompile(`(?m)\b(sendfile|splice|writev)(?:\(| resumed).* = (\d+)$`)

// trace runs this test binary in a role, and returns how many bytes each system
// call moved.
func trace(t *testing.T, strace, role string) map[string]int {
	t.Helper()
	log := filepath.Join(t.TempDir(), "strace")
	cmd := exec.CommandContext(t.Context(), strace, "-f", "--seccomp-bpf", "-o", log, "-e", "trace=sendfile,splice,writev", os.Args[0])
	cmd.Env = append(os.Environ(), reexec.Env+"="+role)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", role, err, out)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	moved := make(map[string]int)
	for _, m := range result.FindAllSubmatch(text, -1) {
		n, err := strconv.Atoi(string(m[2]))
		if err != nil {
			t.Fatal(err)
		}
		moved[string(m[1])] += n
	}
	return moved
}

// moveBytes serves a file, copies from one connection to another, and writes
// net.Buffers.
func moveBytes(listenOn func(network, address string) (net.Listener, error)) error {
	ln, err := listenOn("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return errors.Join(writeBuffers(ln), copyAcross(ln), serveFile(ln))
}

// open returns both sides of a new connection.
func open(ln net.Listener) (server, client net.Conn, err error) {
	if client, err = net.Dial(ln.Addr().Network(), ln.Addr().String()); err != nil {
		return nil, nil, err
	}
	server, err = ln.Accept()
	return server, client, err
}

func writeBuffers(ln net.Listener) error {
	server, client, err := open(ln)
	if err != nil {
		return err
	}
	defer client.Close()
	read := async(func() error { return readAll(client) })
	half := make([]byte, movedSize/2)
	buffers := net.Buffers{half, half}
	if _, err := buffers.WriteTo(server); err != nil {
		return err
	}
	return errors.Join(server.Close(), <-read)
}

func copyAcross(ln net.Listener) error {
	from, sender, err := open(ln)
	if err != nil {
		return err
	}
	to, receiver, err := open(ln)
	if err != nil {
		return err
	}
	defer from.Close()
	read := async(func() error { return readAll(receiver) })
	sent := async(func() error {
		_, err := sender.Write(make([]byte, movedSize))
		return errors.Join(err, sender.Close())
	})
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return errors.Join(to.Close(), <-read, <-sent)
}

func serveFile(ln net.Listener) error {
	dir, err := os.MkdirTemp("", "gozd")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "f.txt"), make([]byte, movedSize), 0o600); err != nil {
		return err
	}
	files, served := http.FileServer(http.Dir(dir)), make(chan struct{})
	go http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		files.ServeHTTP(w, r)
		close(served)
	}))
	resp, err := http.Get("http://" + ln.Addr().String() + "/f.txt")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := readAll(resp.Body); err != nil {
		return err
	}
	<-served // a process that ends within sendfile leaves no count of it
	return nil
}

// async runs f, and sends what it returns.
func async(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// readAll reads as many bytes as were moved, and their end.
func readAll(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err == nil && len(b) != movedSize {
		err = fmt.Errorf("%d bytes arrived, want %d", len(b), movedSize)
	}
	return err
}
