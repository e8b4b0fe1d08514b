package supervise_test

import (
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
)

// roles are what other processes of this binary do.
var roles = make(map[string]func())

func TestMain(m *testing.M) { reexec.Main(m, roles) }
