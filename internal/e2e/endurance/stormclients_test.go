package endurance

import (
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/front"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

// stormGroups are all groups of mixed; nginx is in front of app.
const stormGroups = `
[web]
mode http
listen 127.0.0.1:0
[secure]
mode https
listen 127.0.0.1:0
key key.pem
cert cert.pem
[app]
mode fcgi
listen 127.0.0.1:0
[line]
mode tcp
listen 127.0.0.1:0
[state]
mode tcp
listen 127.0.0.1:0
` + daemontest.Asking

// stormThink is the most that a client with pauses waits before a request.
const stormThink = 20 * time.Millisecond

// stormServers is what the clients of a storm talk to.
type stormServers struct {
	web, secure, line, state load.Target

	nginx front.Server    // of app
	pool  *load.HTTP2Pool // of secure
}

// stormKinds are the clients of a storm.
var stormKinds = []struct {
	name      string
	clients   int
	keeps     bool // one connection each, from first to last
	newClient func(s *stormServers) (load.Client, error)
}{
	{"POST, no pause", 64, true, func(s *stormServers) (load.Client, error) {
		return load.NewKeepAlive(s.web, load.KeepAliveOptions{})
	}},
	{"POST, pauses", 64, true, func(s *stormServers) (load.Client, error) {
		return load.NewKeepAlive(s.web, load.KeepAliveOptions{Think: stormThink})
	}},
	{"GET, new connection", 8, false, func(s *stormServers) (load.Client, error) {
		return load.NewGet(s.web, load.GetOptions{Think: stormThink})
	}},
	{"GET, slow (3 s)", 8, false, func(s *stormServers) (load.Client, error) {
		return load.NewSlow(s.web, load.SlowOptions{Delay: 3 * time.Second})
	}},
	{"hijacked", 16, true, func(s *stormServers) (load.Client, error) {
		return load.NewHijack(s.web, load.HijackOptions{Think: stormThink})
	}},
	{"POST, TLS", 8, false, func(s *stormServers) (load.Client, error) {
		return load.NewKeepAlive(s.secure, load.KeepAliveOptions{Think: stormThink})
	}},
	{"POST, HTTP/2", 10, false, func(s *stormServers) (load.Client, error) {
		return load.NewHTTP2(s.secure, load.HTTP2Options{Pool: s.pool})
	}},
	{"lines", 8, true, func(s *stormServers) (load.Client, error) {
		return load.NewLines(s.line, load.LinesOptions{Think: stormThink})
	}},
	{"lines with state", 32, true, func(s *stormServers) (load.Client, error) {
		return load.NewLines(s.state, load.LinesOptions{Counted: true, Think: stormThink})
	}},
	{"POST, nginx", 8, true, func(s *stormServers) (load.Client, error) {
		return load.NewKeepAlive(s.nginx.Target, load.KeepAliveOptions{Think: stormThink})
	}},
}

// newStormServers starts nginx. The HTTP/2 connection is the caller's to close.
func newStormServers(t *testing.T, d *daemon.Daemon) *stormServers {
	t.Helper()
	s := &stormServers{
		web: daemontest.Target(t, d, "web"), secure: daemontest.Target(t, d, "secure"),
		line: daemontest.Target(t, d, "line"), state: daemontest.Target(t, d, "state"),
		nginx: front.StartNginx(t, daemontest.Target(t, d, "app"), fmt.Sprintf(front.PassFastCGI, "on")),
	}
	var err error
	if s.pool, err = load.NewHTTP2Pool(s.secure); err != nil {
		t.Fatal(err)
	}
	return s
}

// newStormLoad returns the clients.
func newStormLoad(s *stormServers) *load.Load {
	l := load.New(nil)
	for _, kind := range stormKinds {
		l.Add(kind.name, kind.clients, func() (load.Client, error) { return kind.newClient(s) })
	}
	return l
}

// stormTable is the recorder's table with the number of generations that served
// instead of their names.
func stormTable(snap load.Snapshot) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "kind\trequests\tfailed\tconns\tgenerations\tp50\tp99\tmax\t")
	for _, k := range append(snap.Kinds, snap.Total) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%v\t%v\t%v\t\n", k.Kind, k.Requests, k.Failed, k.Connections, len(k.Served), k.P50, k.P99, k.Max)
	}
	_ = w.Flush()
	return b.String()
}
