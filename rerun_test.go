package gozd_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"
)

// The tests that need a process of their own, by the variable that tells them that
// they are in it.
const (
	lifeEnv       = "GOZD-TEST-LIFE"
	neverReadyEnv = "GOZD-TEST-NEVER-READY"
	manualEnv     = "GOZD-TEST-MANUAL-READY"
	readyFailsEnv = "GOZD-TEST-READY-FAILS"
	configEnv     = "GOZD-TEST-CONFIG"
	hooksEnv      = "GOZD-TEST-HOOKS"
	environEnv    = "GOZD-TEST-ENVIRON"
	onlyEnv       = "GOZD-TEST-ONLY"
)

// rerun runs this test alone in a new process of the test binary: there can be only
// one daemon in a process.
func rerun(t *testing.T, env string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), env+"=1")
	cmd.WaitDelay = 10 * time.Second
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}
