package watched

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asRootUnheard is root that may signal no other user's processes.
var asRootUnheard = []string{"--bounding-set=-kill"}

const unheard = "the supervisor does not take this process for a generation: the supervisor may not signal process "

// Where the supervisor could pass no signal on, the start says so, and nothing is served.
func TestStartWhereGenerationsCannotBeSignalled(t *testing.T) {
	d := startHidden(t, hides{proc: "hidepid=off", as: asRootUnheard, options: "user 65534\ngroup 65534", mode: 0o755})
	if err := d.ended(); err == nil || d.cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("the supervisor ended with %v, want status 1", err)
	}
	said := d.output.String() + d.log()
	if !strings.Contains(said, unheard) || !strings.Contains(said, "CAP_KILL") {
		t.Errorf("it does not say why")
	}
	if d.generation() != 0 || strings.Contains(said, "ready") {
		t.Errorf("generation %d has served", d.generation())
	}
}

// Root needs no such right over its own processes. An upgrade to one that has become another user's fails, and the generation before
// serves on, until it is asked to end.
func TestUpgradeToWhatCannotBeSignalled(t *testing.T) {
	d := startHidden(t, hides{proc: "hidepid=off", as: asRootUnheard, mode: 0o755, root: true})
	await(t, "serving", func() bool { return d.generation() == 1 })
	d.signal(syscall.SIGHUP)
	await(t, "upgraded", func() bool { return d.generation() == 2 })
	d.installAs("--reuid=65534 --regid=65534 --clear-groups")
	d.signal(syscall.SIGHUP)
	await(t, "refused", func() bool { return strings.Contains(d.log(), unheard) })
	if n := d.generation(); n != 2 {
		t.Errorf("generation %d serves, want 2", n)
	}
	d.signal(syscall.SIGTERM)
	if err := d.ended(); err != nil || d.generation() != 0 {
		t.Errorf("asked to end, it ended with %v, and generation %d serves", err, d.generation())
	}
}

// installAs puts a script in the binary's place that becomes somebody else by setpriv.
func (d *hidden) installAs(options string) {
	d.t.Helper()
	path := filepath.Join(d.dir, "app")
	must(d.t, os.Rename(path, path+".real"))
	for _, name := range []string{"run", "run/log"} {
		must(d.t, os.Chown(filepath.Join(d.dir, name), 65534, 65534))
	}
	script := fmt.Appendf(nil, "#!/bin/sh\nexec setpriv %s %s \"$@\"\n", options, path+".real")
	must(d.t, os.WriteFile(path+".new", script, 0o755))
	must(d.t, os.Rename(path+".new", path))
}
