package main

import (
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// slow is the kind that asks the server to take its time.
const slow = "GET, slow (3 s)"

// newClients returns a load of every kind. A user pauses after each exchange, so
// that the figures show upgrades and not how much two cores can do.
func newClients(d *daemon.Daemon) (*load.Load, error) {
	targets := make(map[string]load.Target)
	for _, group := range []string{"web", "secure", "app", "line"} {
		t, err := d.Target(group)
		if err != nil {
			return nil, err
		}
		targets[group] = t
	}
	web, secure, app, line := targets["web"], targets["secure"], targets["app"], targets["line"]
	const think = 5 * time.Millisecond
	l := load.New(nil)
	l.Add("GET, new connection", 4, func() (load.Client, error) {
		return load.NewGet(web, load.GetOptions{Think: think})
	})
	l.Add("POST, keep-alive", 8, func() (load.Client, error) {
		return load.NewKeepAlive(web, load.KeepAliveOptions{BodySize: 2000, Think: think})
	})
	l.Add("POST, keep-alive, TLS", 4, func() (load.Client, error) {
		return load.NewKeepAlive(secure, load.KeepAliveOptions{BodySize: 2000, Think: think})
	})
	l.Add("POST, HTTP/2", 4, func() (load.Client, error) {
		return load.NewHTTP2(secure, load.HTTP2Options{BodySize: 2000, Think: think})
	})
	l.Add("POST, FastCGI", 4, func() (load.Client, error) {
		return load.NewFastCGI(app, load.FastCGIOptions{BodySize: 2000, Think: think})
	})
	l.Add("lines, new connection", 4, func() (load.Client, error) {
		return load.NewLines(line, load.LinesOptions{OneShot: true, Think: think})
	})
	l.Add("lines, one connection", 2, func() (load.Client, error) {
		return load.NewLines(line, load.LinesOptions{Think: 4 * think})
	})
	l.Add(slow, 4, func() (load.Client, error) {
		return load.NewSlow(web, load.SlowOptions{Delay: 3 * time.Second})
	})
	return l, nil
}
