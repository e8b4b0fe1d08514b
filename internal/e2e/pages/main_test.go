package pages

import (
	"os"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

func TestMain(m *testing.M) { os.Exit(daemontest.RunLong(m)) }
