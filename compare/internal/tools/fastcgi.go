//go:build linux

package tools

import (
	"context"
	"fmt"
)

var fcgiKinds = []string{FCGI, FCGIIdle}

var fcgiRestart = Tool{
	Name: "FastCGI, restart", Kinds: fcgiKinds, Plain: true,
	How: "net/http/fcgi behind nginx with fastcgi_keep_conn on. TERM to the program, and a start when it is gone. nginx is not touched.",
	start: func(ctx context.Context, e *Env, d *Daemon) error {
		if err := startKilled(ctx, e, d, "fcgi"); err != nil {
			return err
		}
		return d.frontFastCGI(ctx)
	},
}

var fcgiGozd = Tool{
	Name: "FastCGI, gozd", Kinds: fcgiKinds, Plain: true,
	How: "gozd's fcgix behind nginx with fastcgi_keep_conn on. HUP to the program. nginx is not touched.",
	start: func(ctx context.Context, e *Env, d *Daemon) error {
		if err := d.addresses(); err != nil {
			return err
		}
		conf := fmt.Sprintf(gozdSection+"[app]\nmode fcgi\nlisten %s\n", d.HTTP)
		if err := startGozd(ctx, e, d, "gozdfcgi", conf); err != nil {
			return err
		}
		return d.frontFastCGI(ctx)
	},
}

const nginxFastCGI = `
			fastcgi_pass app;
			fastcgi_keep_conn on;
			fastcgi_next_upstream off;
			fastcgi_param REQUEST_METHOD $request_method;
			fastcgi_param REQUEST_URI $request_uri;
			fastcgi_param QUERY_STRING $query_string;
			fastcgi_param CONTENT_TYPE $content_type;
			fastcgi_param CONTENT_LENGTH $content_length;
			fastcgi_param SERVER_PROTOCOL $server_protocol;
			fastcgi_param SERVER_NAME localhost;
			fastcgi_param HTTP_HOST $host;`

// frontFastCGI puts nginx in front of the daemon, and has the clients talk to it.
func (d *Daemon) frontFastCGI(ctx context.Context) error {
	nginx, err := installed("nginx", "Debian: nginx-light")
	if err != nil {
		return err
	}
	app := d.HTTP
	if d.HTTP, err = d.address(); err != nil {
		return err
	}
	d.TLS = ""
	version := d.Version
	master, err := d.runNginx(ctx, nginx, fmt.Sprintf(nginxConf, app, d.HTTP, "", nginxFastCGI))
	if err != nil {
		return err
	}
	d.others = func() []int { return family(master()) }
	d.Version = version + ", " + d.Version
	return nil
}

// family returns a process and its children.
func family(pid int) []int {
	pids := []int{pid}
	for _, s := range processes() {
		if s.parent == pid {
			pids = append(pids, s.pid)
		}
	}
	return pids
}
