package report_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// roleEnv has the test binary, started again by a test, play one of roles
// instead of running tests.
const roleEnv = "GOZD_TEST_ROLE"

var roles = make(map[string]func())

func TestMain(m *testing.M) {
	if play := roles[os.Getenv(roleEnv)]; play != nil {
		play()
		return
	}
	goleak.VerifyTestMain(m)
}
