package front

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// nginxConf has nginx pass everything to one daemon. The upstream's pool is smaller
// than the number of clients, so that connections are both kept and made.
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
		keepalive_requests 1000000;
	}
	server {
		listen unix:%s;
		location / {
			%s
		}
	}
}
`

// PassFastCGI has a location passed on by FastCGI. nginx tries no request twice.
const PassFastCGI = `
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
`

// PassHTTPS has a location passed on over TLS 1.3, on connections that nginx keeps. nginx tries no request twice.
const PassHTTPS = `
			proxy_pass https://app;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_ssl_protocols TLSv1.3;
			proxy_ssl_session_reuse off;
			proxy_next_upstream off;
`

// StartNginx starts nginx in a directory of its own; location says how it passes
// requests to upstream.
func StartNginx(t *testing.T, upstream load.Target, location string) Server {
	t.Helper()
	nginx := require.Tool(t, "nginx", "package nginx-light")
	dir := shortdir.Make(t)
	server := upstream.Address
	if upstream.Network == "unix" {
		server = "unix:" + server
	}
	socket := filepath.Join(dir, "nginx.sock")
	conf := WriteConf(t, dir, fmt.Sprintf(nginxConf, server, socket, location))
	to := load.Target{Network: "unix", Address: socket}
	return Start(t, to, filepath.Join(dir, "error.log"), nginx, "-p", dir, "-c", conf, "-e", "stderr")
}

// WantQuietNginx checks that nginx has nothing to say about the daemon.
func WantQuietNginx(t *testing.T, f Server) {
	t.Helper()
	for line := range strings.Lines(f.ErrorLog()) {
		if strings.Contains(line, "upstream") && !strings.Contains(line, "buffered to a temporary file") {
			t.Errorf("nginx says %s", line)
		}
	}
}
