package proxies

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/front"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// apacheModules is where Debian has them.
const apacheModules = "/usr/lib/apache2/modules"

// apacheConf has Apache pass everything to one FastCGI daemon, on connections that
// it keeps: fewer than there are clients, so that some wait for one. It is no root
// itself: that, it refuses to serve as.
const apacheConf = `
ServerName localhost
ServerRoot %[1]s
DefaultRuntimeDir %[1]s
PidFile apache.pid
ErrorLog error.log
LogLevel warn
User #65534
Group #65534
Listen %[2]s
LoadModule mpm_event_module %[3]s/mod_mpm_event.so
LoadModule authz_core_module %[3]s/mod_authz_core.so
LoadModule proxy_module %[3]s/mod_proxy.so
LoadModule proxy_fcgi_module %[3]s/mod_proxy_fcgi.so
StartServers 1
ServerLimit 1
ThreadsPerChild 25
MaxRequestWorkers 25
MaxKeepAliveRequests 0
KeepAliveTimeout 60
ProxyPass "/" "%[4]s" enablereuse=on max=4
`

// startApache starts Apache in a directory of its own.
func startApache(t *testing.T, backend load.Target) front.Server {
	t.Helper()
	apache := require.Tool(t, "apache2", "package apache2-bin")
	dir := shortdir.Make(t)
	url := "fcgi://" + backend.Address + "/"
	if backend.Network == "unix" {
		url = "unix:" + backend.Address + "|fcgi://localhost/"
	}
	address := freeport.Address(t)
	conf := front.WriteConf(t, dir, fmt.Sprintf(apacheConf, dir, address, apacheModules, url))
	to := load.Target{Network: "tcp", Address: address}
	return front.Start(t, to, filepath.Join(dir, "error.log"), apache, "-d", dir, "-f", conf, "-D", "FOREGROUND")
}

// TestFastCGIBehindApache upgrades a FastCGI daemon several times while Apache's
// mod_proxy_fcgi passes requests to it on connections that it keeps.
func TestFastCGIBehindApache(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "unix:app.sock\nsocket_mode 0666"} {
		network, _, _ := strings.Cut(listen, ":")
		t.Run(network, func(t *testing.T) {
			d := daemontest.Start(t, "[app]\nmode fcgi\nlisten "+listen+"\n")
			passable(t, d.Dir)
			f := startApache(t, daemontest.Target(t, d, "app"))
			upgradeBehind(t, d, f)
			wantMoved(t, d)
			for line := range strings.Lines(f.ErrorLog()) {
				if strings.Contains(line, "proxy") {
					t.Errorf("Apache says %s", line)
				}
			}
		})
	}
}
