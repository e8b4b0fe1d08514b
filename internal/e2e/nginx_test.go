package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// nginxConf has nginx pass everything to one FastCGI daemon. The upstream's pool
// is smaller than the number of clients, so that connections are both kept and
// made. nginx tries no request twice.
const nginxConf = `
daemon off;
master_process off;
pid nginx.pid;
error_log error.log warn;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	keepalive_requests 1000000;
	client_max_body_size 10m;
	upstream app {
		server %s;
		keepalive 4;
	}
	server {
		listen unix:%s;
		location / {
			fastcgi_pass app;
			fastcgi_keep_conn %s;
			fastcgi_next_upstream off;
			fastcgi_param REQUEST_METHOD $request_method;
			fastcgi_param REQUEST_URI $request_uri;
			fastcgi_param QUERY_STRING $query_string;
			fastcgi_param CONTENT_TYPE $content_type;
			fastcgi_param CONTENT_LENGTH $content_length;
			fastcgi_param SERVER_PROTOCOL $server_protocol;
			fastcgi_param SERVER_NAME localhost;
			fastcgi_param HTTP_HOST $host;
		}
	}
}
`

// startNginx starts nginx in a directory of its own, and returns where it listens
// and what it has logged.
func startNginx(t *testing.T, upstream load.Target, keepConn string) (load.Target, func() string) {
	t.Helper()
	nginx := require.Tool(t, "nginx", "package nginx-light")
	dir := tempDir(t)
	server := upstream.Address
	if upstream.Network == "unix" {
		server = "unix:" + server
	}
	socket := filepath.Join(dir, "nginx.sock")
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, server, socket, keepConn), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(nginx, "-p", dir, "-c", conf, "-e", "stderr")
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("nginx: %v: %s", err, output.String())
		}
	})
	awaitSocket(t, socket)
	return load.Target{Network: "unix", Address: socket}, func() string {
		data, _ := os.ReadFile(filepath.Join(dir, "error.log"))
		return string(data)
	}
}

// awaitSocket waits until somebody accepts on a Unix socket.
func awaitSocket(t *testing.T, path string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		conn, err := net.Dial("unix", path)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestFastCGIBehindNginx upgrades a FastCGI daemon twenty times while nginx passes
// requests to it, on fresh connections and on kept ones.
func TestFastCGIBehindNginx(t *testing.T) {
	const upgrades = 20
	for _, listen := range []string{"127.0.0.1:0", "unix:app.sock"} {
		for _, keepConn := range []string{"off", "on"} {
			network, _, _ := strings.Cut(listen, ":")
			t.Run(network+"/keep_conn "+keepConn, func(t *testing.T) {
				d := start(t, "[app]\nmode fcgi\nlisten "+listen+"\n")
				to, errorLog := startNginx(t, target(t, d, "app"), keepConn)
				l := load.New(nil)
				for _, size := range []int{0, 1, 200_000} {
					l.Add(fmt.Sprintf("POST of %d bytes", size), 2, func() (load.Client, error) {
						return load.NewKeepAlive(to, load.KeepAliveOptions{BodySize: max(size, 1), Think: 5 * time.Millisecond})
					})
				}
				l.Add("POST without a pause", 2, func() (load.Client, error) {
					return load.NewKeepAlive(to, load.KeepAliveOptions{BodySize: 100})
				})
				upgradeUnderLoad(t, d, l, upgrades)
				for _, s := range l.Recorder().Snapshot().Kinds {
					wantServed(t, s, 1, upgrades+1)
				}
				for line := range strings.Lines(errorLog()) {
					if strings.Contains(line, "upstream") && !strings.Contains(line, "buffered to a temporary file") {
						t.Errorf("nginx says %s", line)
					}
				}
			})
		}
	}
}
