//go:build unix

package protocols

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// browserLimit bounds an answer of the browser's.
const browserLimit = time.Minute

// browser is a headless Chromium, asked by its DevTools protocol.
type browser struct {
	port string
	page *websocket.Conn
	id   int
}

// startBrowser starts one, which ends with the test.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	path := require.Tool(t, "chromium", "package chromium")
	dir := t.TempDir()
	said, err := os.Create(filepath.Join(dir, "stderr"))
	require.NoError(t, err)
	cmd := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-crash-reporter", "--no-proxy-server",
		"--ignore-certificate-errors", "--remote-debugging-port=0", "--remote-allow-origins=*", "--user-data-dir="+dir, "about:blank")
	cmd.Stderr, cmd.Env = said, append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir)
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	b := new(browser)
	t.Cleanup(func() {
		if b.page != nil {
			_, _ = b.call("Browser.close", nil) // it ends its own processes
			_ = b.page.Close()
		} else {
			_ = cmd.Process.Kill()
		}
		<-ended
		if t.Failed() {
			text, _ := os.ReadFile(said.Name())
			t.Logf("the browser: %s", text)
		}
		_ = said.Close()
	})
	require.Eventually(t, "port of the browser", func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "DevToolsActivePort"))
		port, _, ok := strings.Cut(string(text), "\n")
		b.port = port
		return ok
	})
	return b
}

// open opens a page.
func (b *browser) open(t *testing.T, url string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://127.0.0.1:"+b.port+"/json/new?"+url, nil)
	require.NoError(t, err)
	client := http.Client{Timeout: browserLimit, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	var target struct {
		URL string `json:"webSocketDebuggerUrl"`
	}
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if err := json.Unmarshal(body, &target); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	b.page, err = websocket.Dial(target.URL, "", "http://127.0.0.1:"+b.port)
	require.NoError(t, err)
}

// call calls a method of the DevTools protocol.
func (b *browser) call(method string, params any) (result json.RawMessage, err error) {
	b.id++
	if err := b.page.SetDeadline(time.Now().Add(browserLimit)); err != nil {
		return nil, err
	}
	if err := websocket.JSON.Send(b.page, map[string]any{"id": b.id, "method": method, "params": params}); err != nil {
		return nil, err
	}
	for {
		var answer struct {
			ID     int             `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		if err := websocket.JSON.Receive(b.page, &answer); err != nil {
			return nil, err
		}
		if answer.ID == b.id {
			if answer.Error != nil {
				return nil, fmt.Errorf("%s: %s", method, answer.Error)
			}
			return answer.Result, nil
		}
	}
}

// eval returns the value of an expression in the page.
func (b *browser) eval(t *testing.T, expression string) string {
	t.Helper()
	data, err := b.call("Runtime.evaluate", map[string]any{"expression": "String(" + expression + ")", "returnByValue": true})
	require.NoError(t, err)
	var got struct {
		Result struct {
			Value string `json:"value"`
		} `json:"result"`
	}
	require.NoError(t, json.Unmarshal(data, &got))
	return got.Result.Value
}

// say types a line into the page of examples/chat, and says it.
func (b *browser) say(t *testing.T, line string) {
	t.Helper()
	b.eval(t, fmt.Sprintf("(document.getElementById('line').value = %q, document.forms[0].requestSubmit())", line))
}

// wantSaid waits until the page shows a text.
func (b *browser) wantSaid(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, fmt.Sprintf("%q on the page", text), func() bool { return strings.Contains(b.said(t), text) })
}

func (b *browser) said(t *testing.T) string {
	t.Helper()
	return b.eval(t, "document.getElementById('said').textContent")
}

// TestBrowserHoldsWebSocket has somebody talk in a browser, by the page that the daemon gives him, while that is upgraded ten times. His WebSocket never
// closes, and he hears all that is said.
func TestBrowserHoldsWebSocket(t *testing.T) {
	for group, scheme := range map[string]string{"web": "http", "secure": "https"} {
		t.Run(scheme, func(t *testing.T) {
			const upgrades = 10
			b := startBrowser(t)
			d := daemontest.Prepare(t, binaries.Chat(t), "[chat]\nmode tcp\nlisten 127.0.0.1:0\n[web]\nmode http\nlisten 127.0.0.1:0\n"+daemontest.SecureGroup+"move_tls yes\n")
			require.NoError(t, d.Start(t.Context()))
			b.open(t, scheme+"://"+daemontest.Target(t, d, group).Address+"/")
			b.wantSaid(t, "there are /nick NAME")
			b.eval(t, "(window.ends = 0, window.errors = 0, ws.addEventListener('close', () => ends++), ws.addEventListener('error', () => errors++))")
			b.say(t, "/nick browser")
			b.say(t, "/join go")
			b.wantSaid(t, "* browser is in go")
			said := talk(t, daemontest.Target(t, d, "chat").Address)
			for n := range upgrades {
				b.say(t, fmt.Sprintf("before upgrade %d", n))
				daemontest.Upgrade(t, d)
				b.wantSaid(t, fmt.Sprintf("browser: before upgrade %d\n", n))
				require.Eventually(t, "in the next generation", func() bool {
					b.say(t, "/stats")
					return strings.Contains(b.said(t), fmt.Sprintf("moved %d, generation %d\n", n+1, n+2))
				})
			}
			last := said()
			b.wantSaid(t, fmt.Sprintf("talker: line %d\n", last))
			if got := b.eval(t, "[ws.readyState, ends, errors]"); got != "1,0,0" {
				t.Errorf("state, close events, errors: %s, want 1,0,0", got)
			}
			for i, line := range regexp.MustCompile(`talker: line \d+\n`).FindAllString(b.said(t), -1) {
				if want := fmt.Sprintf("talker: line %d\n", i+1); line != want {
					t.Fatalf("the browser hears %q, want %q", line, want)
				}
			}
		})
	}
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
