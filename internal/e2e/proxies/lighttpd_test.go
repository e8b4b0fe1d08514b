package proxies

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/front"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// lighttpdConf has lighttpd pass everything to one FastCGI daemon. It has a
// connection for every request.
const lighttpdConf = `
server.modules = ("mod_fastcgi")
server.document-root = "%[1]s"
server.upload-dirs = ("%[1]s")
server.errorlog = "%[1]s/error.log"
server.bind = "%[1]s/lighttpd.sock"
server.max-keep-alive-requests = 1000000
fastcgi.server = ("/" => ((
	%[2]s,
	"check-local" => "disable",
)))
`

// startLighttpd starts lighttpd in a directory of its own.
func startLighttpd(t *testing.T, backend load.Target) front.Server {
	t.Helper()
	lighttpd := require.Tool(t, "lighttpd", "package lighttpd")
	dir := shortdir.Make(t)
	host, port, err := net.SplitHostPort(backend.Address)
	server := fmt.Sprintf(`"host" => "%s", "port" => %s`, host, port)
	if backend.Network == "unix" {
		server = fmt.Sprintf(`"socket" => "%s"`, backend.Address)
	} else if err != nil {
		t.Fatal(err)
	}
	conf := front.WriteConf(t, dir, fmt.Sprintf(lighttpdConf, dir, server))
	to := load.Target{Network: "unix", Address: filepath.Join(dir, "lighttpd.sock")}
	return front.Start(t, to, filepath.Join(dir, "error.log"), lighttpd, "-D", "-f", conf)
}

// TestFastCGIBehindLighttpd upgrades a FastCGI daemon several times while lighttpd's
// mod_fastcgi passes requests to it.
func TestFastCGIBehindLighttpd(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "unix:app.sock"} {
		network, _, _ := strings.Cut(listen, ":")
		t.Run(network, func(t *testing.T) {
			d := daemontest.Start(t, "[app]\nmode fcgi\nlisten "+listen+"\n")
			f := startLighttpd(t, daemontest.Target(t, d, "app"))
			upgradeBehind(t, d, f)
			for line := range strings.Lines(f.ErrorLog()) {
				if !strings.Contains(line, "server started") {
					t.Errorf("lighttpd says %s", line)
				}
			}
		})
	}
}
