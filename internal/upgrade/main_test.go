package upgrade

import (
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
)

// RoleEnv is the variable that names the role of a process.
const RoleEnv = reexec.Env

// Roles are what this binary can be: tableflip allows one Upgrader a process, and
// the relay replaces a descriptor of the process it is in.
var Roles = make(map[string]func())

func TestMain(m *testing.M) { reexec.Main(m, Roles) }
