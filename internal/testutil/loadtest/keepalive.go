package loadtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// Get asks a group that speaks HTTP, by a connection of its own.
func Get(t *testing.T, to load.Target, path string) []byte {
	t.Helper()
	client := &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, to.Network, to.Address)
			},
			DisableKeepAlives: true,
		},
		Timeout: 30 * time.Second,
	}
	resp, err := client.Get("http://localhost" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// KeepAlive is a client that holds one connection.
type KeepAlive struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

// DialKeepAlive connects. The connection ends with the test, if not before.
func DialKeepAlive(t *testing.T, to load.Target) *KeepAlive {
	t.Helper()
	conn, err := net.Dial(to.Network, to.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &KeepAlive{t: t, conn: conn, r: bufio.NewReader(conn)}
}

// Get does one request on the connection and returns the PID that answered.
func (k *KeepAlive) Get() int {
	k.t.Helper()
	_ = k.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := fmt.Fprint(k.conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		k.t.Fatal(err)
	}
	resp, err := http.ReadResponse(k.r, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	pid, err := strconv.Atoi(resp.Header.Get("X-Gozd-Pid"))
	if err != nil || resp.StatusCode != http.StatusOK {
		k.t.Fatalf("status %d, X-Gozd-Pid %q", resp.StatusCode, resp.Header.Get("X-Gozd-Pid"))
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		k.t.Fatal(err)
	}
	return pid
}

// Close ends the connection.
func (k *KeepAlive) Close() { _ = k.conn.Close() }
