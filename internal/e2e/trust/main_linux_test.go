package trust

import (
	"os"
	"strconv"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// patience bounds every wait for something that ought to happen.
const patience = 30 * time.Second

// The users. Root is the third.
const (
	nobody   = 65534 // the daemon's
	stranger = 54321 // a local user who has nothing to do with the daemon
)

func TestMain(m *testing.M) { os.Exit(daemontest.RunLong(m)) }

var must = require.NoError

var await = require.Eventually

func itoa(n int) string { return strconv.Itoa(n) }
