//go:build linux

package tools

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startBehind starts the program that a proxy passes requests to. It is not upgraded.
func (d *Daemon) startBehind(ctx context.Context, e *Env) (address string, err error) {
	binary, err := e.build(ctx, "restart")
	if err != nil {
		return "", err
	}
	if err := d.addresses(); err != nil {
		return "", err
	}
	address, err = d.address()
	if err != nil {
		return "", err
	}
	unused, err := d.address()
	if err != nil {
		return "", err
	}
	behind, err := d.launch(nil, binary, "-http", address, "-https", unused, "-cert", e.Cert, "-key", e.Key)
	d.others = func() []int { return []int{behind} }
	return address, err
}

// nginxConf is a proxy; the directives that have nothing to do with it keep nginx to its directory.
const nginxConf = `
daemon on;
pid nginx.pid;
error_log error.log warn;
worker_processes auto;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	keepalive_requests 1000000;
	map $http_upgrade $connection_upgrade { default upgrade; "" ""; }
	upstream app {
		server %s;
		keepalive 64;
		keepalive_requests 1000000;
	}
	server {
		listen %s;
		%s
		location / {
			%s
		}
	}
}
`

const nginxProxy = `
			proxy_pass http://app;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;
			proxy_buffering off;
			proxy_hide_header X-Serving;
			add_header X-Serving $pid always;`

func startNginx(ctx context.Context, e *Env, d *Daemon) (master func() int, err error) {
	nginx, err := installed("nginx", "Debian: nginx-light")
	if err != nil {
		return nil, err
	}
	behind, err := d.startBehind(ctx, e)
	if err != nil {
		return nil, err
	}
	secure := fmt.Sprintf("listen %s ssl http2;\n\t\tssl_certificate %s;\n\t\tssl_certificate_key %s;\n\t\tssl_session_cache shared:c:1m;", d.TLS, e.Cert, e.Key)
	text := fmt.Sprintf(nginxConf, behind, d.HTTP, secure, nginxProxy)
	return d.runNginx(ctx, nginx, text)
}

func (d *Daemon) runNginx(ctx context.Context, nginx, text string) (master func() int, err error) {
	conf := filepath.Join(d.dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	d.Version = firstLine(ctx, nginx, "-v")
	if _, err := d.launch(nil, nginx, "-p", d.dir, "-c", conf, "-e", filepath.Join(d.dir, "error.log")); err != nil {
		return nil, err
	}
	return func() int { return readPID(filepath.Join(d.dir, "nginx.pid")) }, nil
}

// readPID returns the process that a PID file names, 0 if there is none.
func readPID(path string) int {
	data, _ := os.ReadFile(path)                            // there may be none yet
	pid, _ := strconv.Atoi(strings.TrimSpace(string(data))) // or half of one
	return pid
}

var nginxBinary = Tool{
	Name: "nginx, new binary", Kinds: All,
	How: "nginx as the proxy, itself replaced: USR2 to the master, and QUIT to the old master when the new one has written its PID file. " +
		"The program behind it is not touched.",
	start: func(ctx context.Context, e *Env, d *Daemon) error {
		master, err := startNginx(ctx, e, d)
		if err != nil {
			return err
		}
		d.upgrade = func(ctx context.Context, _ string) error {
			old := master()
			if err := syscall.Kill(old, syscall.SIGUSR2); err != nil {
				return err
			}
			for now := master(); now == old || now == 0; now = master() {
				if ctx.Err() != nil {
					return fmt.Errorf("nginx.pid still names %d: %w", old, context.Cause(ctx))
				}
				time.Sleep(time.Millisecond)
			}
			return syscall.Kill(old, syscall.SIGQUIT)
		}
		return nil
	},
}

var nginxReload = Tool{
	Name: "nginx, reload", Kinds: All,
	How: "nginx as the proxy: HUP to the master, which replaces the workers. The program behind it is not touched.",
	start: func(ctx context.Context, e *Env, d *Daemon) error {
		master, err := startNginx(ctx, e, d)
		if err != nil {
			return err
		}
		d.stays = func() []int { return []int{master()} }
		d.upgrade = func(context.Context, string) error { return syscall.Kill(master(), syscall.SIGHUP) }
		return nil
	},
}

const haproxyConf = `
global
	stats socket %[1]s/admin.sock mode 600 level admin expose-fd listeners
	maxconn 4096
defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s
	timeout tunnel 1h
frontend web
	bind %[2]s
	bind %[3]s ssl crt %[4]s alpn h2,http/1.1
	http-response set-header X-Serving %%pid
	default_backend app
backend app
	server app %[5]s
`

var haproxyReload = Tool{
	Name: "HAProxy, reload", Kinds: All,
	How: "HAProxy in front in master-worker mode, its sockets passed on by expose-fd: USR2 to the master. The program behind it is not touched.",
	start: func(ctx context.Context, e *Env, d *Daemon) error {
		haproxy, err := installed("haproxy", "Debian: haproxy")
		if err != nil {
			return err
		}
		behind, err := d.startBehind(ctx, e)
		if err != nil {
			return err
		}
		conf := filepath.Join(d.dir, "haproxy.cfg")
		text := fmt.Sprintf(haproxyConf, d.dir, d.HTTP, d.TLS, e.pair(), behind)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			return err
		}
		d.Version = firstLine(ctx, haproxy, "-v")
		master, err := d.launch(nil, haproxy, "-W", "-f", conf)
		d.stays = func() []int { return []int{master} }
		d.upgrade = func(context.Context, string) error { return syscall.Kill(master, syscall.SIGUSR2) }
		return err
	},
}

const caddyfile = `
{
	admin unix/%[1]s/admin.sock
	auto_https off
	storage file_system %[1]s
}
(app) {
	reverse_proxy %[6]s {
		header_down X-Serving "configuration %[7]d"
	}
}
http://:%[2]s {
	import app
}
https://localhost:%[3]s, https://127.0.0.1:%[3]s {
	tls %[4]s %[5]s
	import app
}
`

var caddyReload = Tool{
	Name: "Caddy, reload", Kinds: All,
	How: "Caddy as the proxy: caddy reload with a configuration that has changed. Its process is not replaced, so there is no old one to wait for. " +
		"The program behind it is not touched.",
	start: func(ctx context.Context, e *Env, d *Daemon) error {
		caddy, err := installed("caddy", "Debian: caddy")
		if err != nil {
			return err
		}
		behind, err := d.startBehind(ctx, e)
		if err != nil {
			return err
		}
		conf, generation := filepath.Join(d.dir, "Caddyfile"), 0
		write := func() error {
			generation++
			text := fmt.Sprintf(caddyfile, d.dir, port(d.HTTP), port(d.TLS), e.Cert, e.Key, behind, generation)
			return os.WriteFile(conf, []byte(text), 0o600)
		}
		if err := write(); err != nil {
			return err
		}
		d.Version = firstLine(ctx, caddy, "version")
		pid, err := d.launch(nil, caddy, "run", "--config", conf, "--adapter", "caddyfile")
		d.stays = func() []int { return []int{pid} }
		d.upgrade = func(ctx context.Context, _ string) error {
			if err := write(); err != nil {
				return err
			}
			cmd := exec.CommandContext(ctx, caddy, "reload", "--config", conf, "--adapter", "caddyfile", "--address", "unix/"+d.dir+"/admin.sock")
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("caddy reload: %w: %s", err, out)
			}
			return nil
		}
		return err
	},
}

func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
