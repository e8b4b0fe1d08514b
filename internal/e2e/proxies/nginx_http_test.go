package proxies

import (
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/front"
)

// passHTTP has a location passed on by HTTP/1.1 on kept connections. nginx tries no
// request twice.
const passHTTP = `
			proxy_pass http://app;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_next_upstream off;
`

// TestHTTPBehindNginx upgrades a daemon several times while nginx, as a reverse
// proxy, passes POSTs to it on connections that it keeps.
func TestHTTPBehindNginx(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "unix:web.sock"} {
		network, _, _ := strings.Cut(listen, ":")
		t.Run(network, func(t *testing.T) {
			d := daemontest.Start(t, "[web]\nmode http\nlisten "+listen+"\n")
			f := front.StartNginx(t, daemontest.Target(t, d, "web"), passHTTP)
			upgradeBehind(t, d, f)
			front.WantQuietNginx(t, f)
			wantMoved(t, d)
		})
	}
}
