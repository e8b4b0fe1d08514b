package protocols

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// halves is a body in two parts, between which the test does something.
type halves struct {
	parts   []string
	between func()
	read    int
}

func (h *halves) Read(b []byte) (int, error) {
	if h.read == len(h.parts) {
		return 0, io.EOF
	}
	if h.read == 1 {
		h.between()
	}
	n := copy(b, h.parts[h.read])
	h.read++
	return n, nil
}

// midwayClient speaks HTTP/1.1 or HTTP/2 and retries nothing: its requests with a body
// cannot be replayed, and the others are the first on their connections.
func midwayClient(t *testing.T, to load.Target, http2 bool) (*http.Client, string) {
	t.Helper()
	transport := &http.Transport{ExpectContinueTimeout: 30 * time.Second, ForceAttemptHTTP2: http2}
	t.Cleanup(transport.CloseIdleConnections)
	scheme := "http"
	if to.TLS != nil {
		scheme = "https"
		transport.TLSClientConfig = to.TLS.Clone()
		transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
		if http2 {
			transport.TLSClientConfig.NextProtos = []string{"h2"}
		} else {
			transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
		}
	}
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}, scheme + "://" + to.Address
}

// TestUpgradeInTheMiddleOf upgrades while a request or its answer is half done, and
// again before it is whole.
func TestUpgradeInTheMiddleOf(t *testing.T) {
	const groups = "[web]\nmode http\nlisten 127.0.0.1:0\n" + daemontest.SecureGroup
	d := daemontest.Start(t, groups)
	for _, p := range []struct {
		name, group string
		http2       bool
	}{
		{"HTTP/1.1", "web", false},
		{"HTTP/1.1 with TLS", "secure", false},
		{"HTTP/2", "secure", true},
	} {
		upgrades := func() {
			daemontest.Upgrade(t, d)
			daemontest.Upgrade(t, d)
		}
		t.Run(p.name+"/an upload in chunks", func(t *testing.T) {
			client, url := midwayClient(t, daemontest.Target(t, d, p.group), p.http2)
			body := &halves{parts: []string{"one half, ", "and the other"}, between: upgrades}
			wantEcho(t, client, url, nil, body)
		})
		t.Run(p.name+"/an upload that has to wait for leave", func(t *testing.T) {
			client, url := midwayClient(t, daemontest.Target(t, d, p.group), p.http2)
			// The first part is read when the server has said 100 Continue.
			body := &halves{parts: []string{"", "all of it"}, between: upgrades}
			wantEcho(t, client, url, http.Header{"Expect": {"100-continue"}}, body)
		})
		t.Run(p.name+"/a streamed answer", func(t *testing.T) {
			client, url := midwayClient(t, daemontest.Target(t, d, p.group), p.http2)
			wantStream(t, client, url, upgrades)
		})
	}
}

// wantEcho posts a body of unknown length, and wants it back.
func wantEcho(t *testing.T, client *http.Client, url string, header http.Header, body *halves) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/echo", io.NopCloser(body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if want := strings.Join(body.parts, ""); string(got) != want || err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %q, %v, want %q", resp.Status, got, err, want)
	}
}

// wantStream reads an answer line by line, and does something after the first.
func wantStream(t *testing.T, client *http.Client, url string, between func()) {
	t.Helper()
	const n = 10
	resp, err := client.Get(fmt.Sprintf("%s/stream?n=%d&every=50ms", url, n))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var first [1]byte
	_, err1 := io.ReadFull(resp.Body, first[:])
	between()
	rest, err2 := io.ReadAll(resp.Body)
	if lines := strings.Count(string(rest), "\n"); lines != n || errors.Join(err1, err2) != nil {
		t.Errorf("%d lines of %d, %v", lines, n, errors.Join(err1, err2))
	}
}
