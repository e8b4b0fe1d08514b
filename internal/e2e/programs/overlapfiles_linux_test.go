package programs

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
)

// TestOwnRotation has generations write into their own logs, and rotate these, while older ones do the same. Where they all have one file, each
// renames it under the others, and lines are lost.
func TestOwnRotation(t *testing.T) {
	const each = 30 // a file has 20 lines
	for does, lost := range map[string]bool{"": false, "one log": true} {
		t.Run(does, func(t *testing.T) {
			t.Parallel()
			d := prepareOverlapping(t, does, lineGroup)
			start(t, d)
			conns, written := []net.Conn{dialLine(t, d)}, 0
			for range 4 {
				daemontest.Upgrade(t, d)
				conns = append(conns, dialLine(t, d))
				for _, conn := range conns {
					for range each {
						written++
						wantSaid(t, conn, fmt.Sprintf("log %d", written))
					}
				}
			}
			found := linesOf(t, filepath.Join(d.Dir, "own.*"))
			for line, n := range found {
				if n != 1 {
					t.Errorf("line %s is there %d times", line, n)
				}
			}
			if n := written - len(found); n > 0 != lost {
				t.Errorf("%d of %d lines are lost, want some: %t", n, written, lost)
			}
		})
	}
}

// linesOf counts the lines of some files.
func linesOf(t *testing.T, pattern string) map[string]int {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]int)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			all[strings.TrimSpace(line)]++
		}
	}
	return all
}

// TestPortOfItsOwn has a program open a port besides its groups, while clients come and go.
func TestPortOfItsOwn(t *testing.T) {
	for does, tt := range map[string]struct {
		groups string
		fails  bool
		late   bool // it is opened when the process serves
	}{
		"port":            {fails: true},
		"":                {fails: true, late: true},
		"any port":        {},
		"port in a group": {groups: "[debug]\nmode http\nlisten 127.0.0.1:0\n"},
	} {
		t.Run(does, func(t *testing.T) {
			t.Parallel()
			own := freeport.Address(t)
			d := prepareOverlapping(t, does, lineGroup+tt.groups)
			d.Env = append(d.Env, "OVERLAPPING_ADDRESS="+own)
			start(t, d)
			k := startTalk(t, d, "hello")
			if tt.late {
				wantSaid(t, dialLine(t, d), "open")
			}
			k.more(t)
			words := "listen tcp " + own + ": bind: address already in use"
			_, err := d.Upgrade(t.Context())
			if tt.late {
				if err != nil {
					t.Fatal(err)
				}
				k.end() // clients of the process that dies lose their connections
				_, _, _ = tell(dialLine(t, d), "open")
				awaitServing(t, d, 1)
				daemontest.AwaitLog(t, d, words)
				k = startTalk(t, d, "hello")
			} else if (err != nil) != tt.fails || tt.fails && !strings.Contains(err.Error(), words) {
				t.Errorf("the upgrade: %v, want a failure: %t", err, tt.fails)
			}
			k.more(t)
			k.end()
			wantServing(t, d, map[bool]int{true: 1, false: 2}[tt.fails])
		})
	}
}

// setVersion says of which version the program is from its next start on.
func setVersion(t *testing.T, d *daemon.Daemon, version string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(d.Dir, "version"), []byte(version), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startMigrated starts a daemon whose program has changed a schema.
func startMigrated(t *testing.T, options ...string) *daemon.Daemon {
	t.Helper()
	d := prepareOverlapping(t, "migration", lineGroup, options...)
	setVersion(t, d, "1")
	start(t, d)
	awaitNotes(t, d, "schema", "version 1 added\nrows of version 1 filled\n")
	return d
}

// wantSchema checks what has been done to the schema since its first version, and that clients of generation 1 see it.
func wantSchema(t *testing.T, d *daemon.Daemon, want string) {
	t.Helper()
	if _, got := say(t, dialLine(t, d), "schema"); got != "version 1 added, rows of version 1 filled"+want {
		t.Errorf("the schema: %s, want that it ends in %q", got, want)
	}
}

// TestMigrations has a new version change the schema of a database before it is ready, while the old one serves. Where that fails the
// upgrade does; a dry run does it in earnest, but for what is in a run of Only. OnUpgrade is the old version's.
func TestMigrations(t *testing.T) {
	t.Parallel()
	d := startMigrated(t)
	k := startTalk(t, d, "hello")
	k.more(t)
	setVersion(t, d, "bad")
	_, err := d.Upgrade(t.Context())
	if err == nil || !strings.Contains(err.Error(), "migration to version bad: column email exists") {
		t.Errorf("the upgrade: %v, want that the migration has failed", err)
	}
	const asked = ", version 1 is asked"
	wantSchema(t, d, asked)
	setVersion(t, d, "2")
	c, err := client.Dial(t.Context(), d.PIDFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.DryRun(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	const added = ", version 2 added"
	wantSchema(t, d, asked+asked+added)
	wantServing(t, d, 1)
	daemontest.Upgrade(t, d)
	daemontest.Await(t, "rows of version 2", func() bool { return strings.HasSuffix(notes(t, d, "schema"), "rows of version 2 filled\n") })
	wantSchema(t, d, asked+asked+added+asked+added+", rows of version 2 filled")
	k.more(t)
	k.end()
}

// TestMigrationAtARollback: the old version goes on with the new schema, and what is in a run of Only has not begun.
func TestMigrationAtARollback(t *testing.T) {
	t.Parallel()
	d := startMigrated(t, "probation 1h")
	setVersion(t, d, "2")
	probation, outcome := daemontest.BeginTrial(t, d)
	if _, err := d.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	daemontest.WantRolledBack(t, d, probation, outcome, "rolled back on request")
	wantSchema(t, d, ", version 1 is asked, version 2 added")
}
