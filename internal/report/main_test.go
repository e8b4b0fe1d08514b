package report_test

import (
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
)

// roles are what the test binary does when a test runs it again.
var roles = make(map[string]func())

func TestMain(m *testing.M) { reexec.Main(m, roles) }
