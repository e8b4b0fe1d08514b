package tlswatch_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/tlspeer"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// echo answers lines on a connection, and moves it whenever that is silent, after so many lines: from crypto/tls to package tlsrec, and
// from there on. moves is how often.
func echo(tb testing.TB, wire *tlspeer.Wire, config *tls.Config, after int, moves *atomic.Int32) {
	tb.Helper()
	watched := tlswatch.New(wire)
	server := tls.Server(watched, tlswatch.Config(config))
	require.NoError(tb, server.Handshake())
	var current net.Conn = server
	var frozen interface {
		Freeze() (*tlsrec.State, error)
	} = watched
	answered := 0
	line := make([]byte, 0, 100)
	buf := make([]byte, 1000)
	for {
		_ = wire.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		n, err := current.Read(buf)
		line = append(line, buf[:n]...)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if answered < after {
				continue
			}
			state, stays := frozen.Freeze()
			if stays != nil {
				continue
			}
			next := moveOn(tb, state, wire)
			if moves.Load() == 0 {
				require.NoError(tb, watched.Audit(server))
			}
			current, frozen = next, next
			moves.Add(1)
		case err != nil:
			if !errors.Is(err, io.EOF) {
				tb.Errorf("the server: %v after %q", err, line)
			}
			return
		}
		for {
			one, rest, ok := strings.Cut(string(line), "\n")
			if !ok {
				break
			}
			line = append(line[:0], rest...)
			_, err := current.Write([]byte("answer to " + one + "\n"))
			require.NoError(tb, err)
			answered++
		}
	}
}

// TestOpenSSL has openssl's client speak over a connection that moves whenever it is silent, from the first line on and later, and change its keys by
// its commands K and k. With padding, its KeyUpdates are not recognized: the connection stays where it was at the first, and is served.
func TestOpenSSL(t *testing.T) {
	openssl := require.Tool(t, "openssl", "package openssl")
	for _, suite := range tlspeer.Suites {
		for _, padding := range []string{"0", "64"} {
			for _, after := range []int{0, 4} {
				t.Run(fmt.Sprintf("%s, padded to %s, after %d", tls.CipherSuiteName(suite), padding, after), func(t *testing.T) {
					stays := padding != "0" && after > 0
					moves := overOpenSSL(t, openssl, suite, after, stays, "-record_padding", padding)
					if stays && moves > 0 {
						t.Errorf("%d moves", moves)
					}
				})
			}
		}
	}
}

func overOpenSSL(t *testing.T, openssl string, suite uint16, after int, stays bool, more ...string) int32 {
	t.Helper()
	ln, keys := loopback.Listen(t, "tcp"), new(tlspeer.Log)
	config := tlspeer.ServerConfig(t)
	config.KeyLogWriter = keys
	config.SessionTicketsDisabled = false
	args := []string{"s_client", "-connect", ln.Addr().String(), "-tls1_3", "-servername", "example.com", "-ciphersuites", tls.CipherSuiteName(suite)}
	client := exec.Command(openssl, append(args, more...)...)
	in, err := client.StdinPipe()
	require.NoError(t, err)
	out, err := client.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, client.Start())
	defer func() { _ = client.Wait() }()
	defer func() { _ = client.Process.Kill() }()
	conn, err := ln.Accept()
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	wire := &tlspeer.Wire{Conn: conn}
	var served sync.WaitGroup
	var moves atomic.Int32
	served.Go(func() { echo(t, wire, config, after, &moves) })
	lines := bufio.NewScanner(out)
	moved := func(i int) {
		t.Helper()
		if before := moves.Load(); !stays && i >= after {
			require.Eventually(t, "moved", func() bool { return moves.Load() > before })
		}
	}
	for i, commands := range []string{"", "K", "", "k", "Kk", "", "KK", "", "k"} {
		for _, command := range commands { // s_client takes a line that comes alone for one
			before := wire.Bytes()
			_, err = fmt.Fprintf(in, "%c\n", command)
			require.NoError(t, err)
			require.Eventually(t, "a KeyUpdate", func() bool { return wire.Bytes() > before })
			moved(i)
		}
		text := fmt.Sprintf("line %d", i)
		_, err = io.WriteString(in, text+"\n")
		require.NoError(t, err)
		for want := "answer to " + text; lines.Text() != want; {
			if !lines.Scan() {
				t.Fatalf("no answer to %q", text)
			}
		}
		moved(i + 1)
	}
	require.NoError(t, in.Close()) // is the end of s_client
	_, _ = io.Copy(io.Discard, out)
	served.Wait()
	tlspeer.Numbers(t, wire.Written(), suite, keys.Secret(tlspeer.ServerSecret), 100)
	return moves.Load()
}

// TestManyMoves has clients of crypto/tls speak over TCP while their connections move, some in the middle of what they say.
func TestManyMoves(t *testing.T) {
	tlspeer.EachSuite(t, func(t *testing.T) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { manyMoves(t) })
		}
		all.Wait()
	})
}

func manyMoves(t *testing.T) {
	t.Helper()
	serverEnd, clientEnd := loopback.Pair(t, "tcp")
	keys, config := new(tlspeer.Log), tlspeer.ServerConfig(t)
	config.SessionTicketsDisabled = false
	wire, client := &tlspeer.Wire{Conn: serverEnd}, tls.Client(clientEnd, tlspeer.ClientConfig(keys))
	var served sync.WaitGroup
	var moves atomic.Int32
	served.Go(func() { echo(t, wire, config, 0, &moves) })
	lines := bufio.NewScanner(client)
	for i := range 30 {
		line := fmt.Sprintf("line %d %0*d\n", i, i*i, i)
		half := len(line) / 2
		_, err := io.WriteString(client, line[:half])
		if err == nil && i%2 == 0 {
			time.Sleep(time.Duration(i) * time.Millisecond) // the server is silent, or in the middle of a line
		}
		if err == nil {
			_, err = io.WriteString(client, line[half:])
		}
		if err != nil || !lines.Scan() || lines.Text()+"\n" != "answer to "+line {
			t.Errorf("line %d: %.50q, %v, %v", i, lines.Text(), err, lines.Err())
			break
		}
	}
	_ = client.CloseWrite()
	_ = clientEnd.Close()
	served.Wait()
	if moves.Load() < 5 {
		t.Errorf("the connection has moved %d times", moves.Load())
	}
	tlspeer.Numbers(t, wire.Written(), client.ConnectionState().CipherSuite, keys.Secret(tlspeer.ServerSecret), 100)
}
