package proxies

import (
	"fmt"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/front"
)

// TestFastCGIBehindNginx upgrades a FastCGI daemon several times while nginx passes
// requests to it, on fresh connections and on kept ones.
func TestFastCGIBehindNginx(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "unix:app.sock"} {
		for _, keepConn := range []string{"off", "on"} {
			network, _, _ := strings.Cut(listen, ":")
			t.Run(network+"/keep_conn "+keepConn, func(t *testing.T) {
				d := daemontest.Start(t, "[app]\nmode fcgi\nlisten "+listen+"\n")
				f := front.StartNginx(t, daemontest.Target(t, d, "app"), fmt.Sprintf(front.PassFastCGI, keepConn))
				upgradeBehind(t, d, f)
				front.WantQuietNginx(t, f)
			})
		}
	}
}
