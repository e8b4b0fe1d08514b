package upgrade

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// RoleEnv has the test binary, started again by a test, play one of Roles
// instead of running tests.
const RoleEnv = "GOZD_TEST_ROLE"

// Roles are what this binary can be: tableflip allows one Upgrader a process, and
// the relay replaces a descriptor of the process it is in.
var Roles = make(map[string]func())

func TestMain(m *testing.M) {
	if play := Roles[os.Getenv(RoleEnv)]; play != nil {
		play()
		return
	}
	goleak.VerifyTestMain(m)
}
