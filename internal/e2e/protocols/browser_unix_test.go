//go:build unix

package protocols

import (
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/browser"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// say types a line into the page of examples/chat, and says it.
func say(t *testing.T, b *browser.Browser, line string) {
	t.Helper()
	b.Eval(t, fmt.Sprintf("(document.getElementById('line').value = %q, document.forms[0].requestSubmit())", line))
}

// wantSaid waits until the page shows a text.
func wantSaid(t *testing.T, b *browser.Browser, text string) {
	t.Helper()
	require.Eventually(t, fmt.Sprintf("%q on the page", text), func() bool { return strings.Contains(said(t, b), text) })
}

func said(t *testing.T, b *browser.Browser) string {
	t.Helper()
	return b.Eval(t, "document.getElementById('said').textContent")
}

// TestBrowserHoldsWebSocket has somebody talk in a browser, by the page that the daemon gives him, while that is upgraded ten times. His WebSocket never
// closes, and he hears all that is said.
func TestBrowserHoldsWebSocket(t *testing.T) {
	for group, scheme := range map[string]string{"web": "http", "secure": "https"} {
		t.Run(scheme, func(t *testing.T) {
			const upgrades = 10
			b := browser.Start(t)
			d := daemontest.Prepare(t, binaries.Chat(t), "[chat]\nmode tcp\nlisten 127.0.0.1:0\n[web]\nmode http\nlisten 127.0.0.1:0\n"+daemontest.SecureGroup+"move_tls yes\n")
			require.NoError(t, d.Start(t.Context()))
			b.Open(t, scheme+"://"+daemontest.Target(t, d, group).Address+"/")
			wantSaid(t, b, "there are /nick NAME")
			t.Cleanup(func() { tell(t, b, d) })
			b.Eval(t, "(window.ends = 0, window.errors = 0, ws.addEventListener('close', () => ends++), ws.addEventListener('error', () => errors++))")
			say(t, b, "/nick browser")
			say(t, b, "/join go")
			wantSaid(t, b, "* browser is in go")
			end := talk(t, daemontest.Target(t, d, "chat").Address)
			for n := range upgrades {
				say(t, b, fmt.Sprintf("before upgrade %d", n))
				daemontest.Upgrade(t, d)
				wantSaid(t, b, fmt.Sprintf("browser: before upgrade %d\n", n))
				require.Eventually(t, "in the next generation", func() bool {
					say(t, b, "/stats")
					return strings.Contains(said(t, b), fmt.Sprintf("moved %d, generation %d\n", n+1, n+2))
				})
			}
			last := end()
			wantSaid(t, b, fmt.Sprintf("talker: line %d\n", last))
			if got := b.Eval(t, "[ws.readyState, ends, errors]"); got != "1,0,0" {
				t.Errorf("state, close events, errors: %s, want 1,0,0", got)
			}
			for i, line := range regexp.MustCompile(`talker: line \d+\n`).FindAllString(said(t, b), -1) {
				if want := fmt.Sprintf("talker: line %d\n", i+1); line != want {
					t.Fatalf("the browser hears %q, want %q", line, want)
				}
			}
		})
	}
}

// tell logs how things are if the test has failed: the page, and all that the generation that serves is at, which ends by that.
func tell(t *testing.T, b *browser.Browser, d *daemon.Daemon) {
	t.Helper()
	if !t.Failed() {
		return
	}
	t.Logf("the page: %s", b.Eval(t, "[ws.readyState, ends, errors, said.textContent.slice(-500)]"))
	status, err := d.Status(context.WithoutCancel(t.Context()))
	t.Logf("status: %+v, %v", status, err)
	daemontest.SignalServing(t, d, syscall.SIGABRT)
	require.Eventually(t, "end", func() bool { return strings.Contains(d.LogText(), "goroutine 1 ") })
	t.Log(d.LogText())
}

// talk has somebody else say lines in the room. said ends that, and returns how many there were.
func talk(t *testing.T, address string) (said func() int) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	stop, lines := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		defer func() { lines <- n }()
		_, err := io.WriteString(conn, "/nick talker\n/join go\n")
		for tick := time.NewTicker(20 * time.Millisecond); err == nil; {
			select {
			case <-stop:
				return
			case <-tick.C:
				n++
				_, err = fmt.Fprintf(conn, "line %d\n", n)
			}
		}
		t.Errorf("the talker: %v", err)
	}()
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	return func() int {
		close(stop)
		return <-lines
	}
}
