package load

import (
	"os"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

func TestMain(m *testing.M) { os.Exit(daemontest.Run(m)) }

// upgrades is how often each test upgrades its daemon.
func upgrades() int {
	if testing.Short() {
		return 4
	}
	return 8
}
