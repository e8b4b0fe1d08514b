package protocols

import (
	"context"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// questions are requests that clients put in their own words.
var questions = []struct {
	method, path, body string
	header             http.Header
	curl               []string // the same for curl
}{
	{"GET", "/", "", nil, nil},
	{"POST", "/echo", "hello", nil, []string{"--data-raw", "hello"}},
	{
		"POST", "/echo", "with leave",
		http.Header{"Expect": {"100-continue"}},
		[]string{"--data-raw", "with leave", "--header", "Expect: 100-continue", "--expect100-timeout", "10"},
	},
	{
		"POST", "/echo", "in chunks",
		http.Header{"Transfer-Encoding": {"chunked"}},
		[]string{"--data-raw", "in chunks", "--header", "Transfer-Encoding: chunked"},
	},
	{"GET", "/stream?n=3&every=1ms", "", nil, nil},
	{"GET", "/file?size=3000", "", nil, nil},
	{"GET", "/file?size=3000", "", http.Header{"Range": {"bytes=100-199,300-"}}, []string{"--range", "100-199,300-"}},
	{"GET", "/none", "", nil, nil},
	{"DELETE", "/echo", "", nil, []string{"--request", "DELETE"}},
	{"HEAD", "/", "", nil, []string{"--head"}},
}

// goClient asks by Go's http.Transport, and counts its connections.
type goClient struct {
	*http.Transport
	base  string
	dials int
}

func newGoClient(t *testing.T, to load.Target) *goClient {
	t.Helper()
	c := &goClient{base: "http://" + to.Address}
	c.Transport = &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c.dials++
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		ExpectContinueTimeout: 30 * time.Second,
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// ask returns the whole answer to a question.
func (c *goClient) ask(t *testing.T, i int) []byte {
	t.Helper()
	q := questions[i]
	req, err := http.NewRequestWithContext(t.Context(), q.method, c.base+q.path, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, q.header)
	if req.Header.Get("Transfer-Encoding") != "" {
		req.Header.Del("Transfer-Encoding") // it is not the caller's to set
		req.ContentLength = -1
	}
	resp, err := c.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := httputil.DumpResponse(resp, true)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestMovedConnectionByGo asks every question in the first generation, and again
// with an upgrade before each: one connection, and the same answers.
func TestMovedConnectionByGo(t *testing.T) {
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n")
	c := newGoClient(t, daemontest.Target(t, d, "web"))
	var first [][]byte
	for i := range questions {
		first = append(first, c.ask(t, i))
	}
	for i, q := range questions {
		upgradeAndMove(t, d)
		got := c.ask(t, i)
		wantAnswered(t, got, i+2)
		wantSame(t, q.method+" "+q.path, got, first[i])
	}
	if c.dials != 1 {
		t.Errorf("%d connections, want 1", c.dials)
	}
}

// TestMovedConnectionByCurl has one curl ask every question twice: in the first
// generation, and then with another server before each question, which answers when
// the daemon has been upgraded.
func TestMovedConnectionByCurl(t *testing.T) {
	curl := require.Tool(t, "curl", "package curl")
	d := daemontest.Start(t, "[web]\nmode http\nlisten 127.0.0.1:0\n")
	reached, passed := make(chan struct{}), make(chan struct{})
	gate := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		reached <- struct{}{}
		<-passed
	}))
	defer gate.Close()

	cmd := exec.CommandContext(t.Context(), curl, curlArgs("http://"+daemontest.Target(t, d, "web").Address, gate.URL)...)
	var output, complaint strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &complaint
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for range questions {
		select {
		case <-reached:
			upgradeAndMove(t, d)
			passed <- struct{}{}
		case err := <-ended:
			t.Fatalf("curl has ended early: %v: %s", err, complaint.String())
		}
	}
	if err := <-ended; err != nil || complaint.Len() > 0 {
		t.Fatalf("curl: %v: %s", err, complaint.String())
	}
	compareCurl(t, output.String())
}

// curlArgs has curl ask every question, and then again with the gate before each.
func curlArgs(url, gate string) []string {
	var args []string
	for round := range 2 {
		for _, q := range questions {
			if round == 1 {
				args = append(args, "--silent", "--show-error", gate, "--next")
			}
			args = append(args, "--silent", "--show-error", "--include", "--raw", "--write-out", "\n%{num_connects} new\n")
			args = append(append(args, q.curl...), url+q.path, "--next")
		}
	}
	return args[:len(args)-1]
}

// compareCurl checks what curl has put out: the answers to two rounds of questions,
// each followed by how many connections curl has opened for it.
func compareCurl(t *testing.T, output string) {
	t.Helper()
	answers := regexp.MustCompile(`\n\d new\n`).Split(output, -1)
	if len(answers) != 2*len(questions)+1 || strings.Count(output, "\n1 new\n") != 1 {
		t.Fatalf("curl's output is\n%s", output)
	}
	for i, q := range questions {
		got := []byte(answers[i+len(questions)])
		wantAnswered(t, got, i+2)
		wantSame(t, q.method+" "+q.path, got, []byte(answers[i]))
	}
}
