// Package browser has tests see pages as a browser shows them: a headless Chromium, asked by its DevTools protocol.
package browser

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// limit bounds an answer of the browser's.
const limit = time.Minute

// Browser is one, with one page.
type Browser struct {
	port string
	page *websocket.Conn
	id   int
}

// Start starts one, which ends with the test.
func Start(t *testing.T) *Browser {
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
	b := new(Browser)
	t.Cleanup(func() {
		if b.page != nil {
			_, _ = b.Call("Browser.close", nil) // it ends its own processes
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

// Open opens a page, in place of the one before.
func (b *Browser) Open(t *testing.T, url string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://127.0.0.1:"+b.port+"/json/new?"+url, nil)
	require.NoError(t, err)
	client := http.Client{Timeout: limit, Transport: &http.Transport{DisableKeepAlives: true}}
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
	page, err := websocket.Dial(target.URL, "", "http://127.0.0.1:"+b.port)
	require.NoError(t, err)
	if b.page != nil {
		_ = b.page.Close()
	}
	b.page = page
}

// Call calls a method of the DevTools protocol.
func (b *Browser) Call(method string, params any) (result json.RawMessage, err error) {
	b.id++
	if err := b.page.SetDeadline(time.Now().Add(limit)); err != nil {
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

// Eval returns the value of an expression in the page, as a string.
func (b *Browser) Eval(t *testing.T, expression string) string {
	t.Helper()
	data, err := b.Call("Runtime.evaluate", map[string]any{"expression": "String(" + expression + ")", "returnByValue": true})
	require.NoError(t, err)
	var got struct {
		Result struct {
			Value string `json:"value"`
		} `json:"result"`
	}
	require.NoError(t, json.Unmarshal(data, &got))
	return got.Result.Value
}
