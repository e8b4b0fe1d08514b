//go:build unix

package upgrade_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

func TestUpgrade(t *testing.T) {
	t.Parallel()
	d := start(t, 7*time.Second)
	one := d.ask(t, "who")
	if one.PID != d.first.Process.Pid || !reflect.DeepEqual(one.Manifest, upgrade.Manifest{Generation: 1}) || one.ParentExited {
		t.Errorf("the first generation is %+v", one)
	}
	two := d.upgrade(t)
	want := upgrade.Manifest{
		Version:    2,
		Generation: 2,
		Timeout:    7 * time.Second,
		Sockets:    []upgrade.Socket{{ID: "1.1", Group: "web", Network: "tcp", Address: "127.0.0.1:0", Bound: d.addr}},
		Namespaces: process.Namespaces(),
		Payload:    payload(t, peers.Peer{Generation: 1, PID: one.PID, StartTime: one.StartTime}),
	}
	if !reflect.DeepEqual(two.Manifest, want) {
		t.Errorf("the manifest is %+v, want %+v", two.Manifest, want)
	}
	three := d.upgrade(t)
	want.Generation = 3
	want.Payload = payload(t, append(two.Ancestors, peers.Peer{Generation: 2, PID: two.PID, StartTime: two.StartTime})...)
	if !reflect.DeepEqual(three.Manifest, want) {
		t.Errorf("the next manifest is %+v, want %+v", three.Manifest, want)
	}
	for _, a := range []answer{two, three} {
		if a.Note != noteText || a.ParentExited {
			t.Errorf("generation %d got the file with %q, want %q; parent exited: %v", a.Generation, a.Note, noteText, a.ParentExited)
		}
	}
}

func payload(t *testing.T, ancestors ...peers.Peer) json.RawMessage {
	t.Helper()
	data, err := json.Marshal(ancestors)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// tableflip alone refuses an upgrade while an older generation lives. If this
// fails with another version of it, see relay.
func TestFiveGenerationsAtOnce(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	for len(d.born) < 5 {
		d.upgrade(t)
	}
	for i, p := range d.born {
		if err := p.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("generation %d: %v", i+1, err)
		}
	}
	last := d.ask(t, "who")
	if len(last.Ancestors) != 4 || last.ParentExited {
		t.Errorf("the fifth generation is %+v", last)
	}
	for _, p := range d.born[:3] {
		d.kill(t, p)
	}
	if d.ask(t, "who").ParentExited {
		t.Error("the fifth generation takes the end of an older one for that of its parent")
	}
	d.kill(t, d.born[3])
	eventually(t, "the parent's end is seen", func() bool { return d.ask(t, "who").ParentExited })
	d.upgrade(t)
}

// tableflip learns in a goroutine of its own that this process is ready. An
// upgrade that was asked for before must not fail because of that.
func TestUpgradeRightAfterReady(t *testing.T) {
	t.Parallel()
	const last = 6
	d := start(t, patience)
	d.behave(t, fmt.Sprintf("eager %d", last))
	if a := d.ask(t, "upgrade"); a.Error != "" {
		t.Fatal(a.Error)
	}
	var now answer
	eventually(t, "the last generation serves", func() bool {
		var err error
		now, err = d.try("who")
		return err == nil && (now.Generation == last || now.Error != "")
	})
	for _, a := range now.Ancestors[1:] {
		d.know(t, a.PID, a.StartTime)
	}
	d.know(t, now.PID, now.StartTime)
	if now.Generation != last {
		t.Errorf("generation %d: %s", now.Generation, now.Error)
	}
}

// A generation that has been replaced can stay until its successor has told everybody, or has ended.
func TestSettled(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"tells", "dies"} {
		d := start(t, patience)
		d.behave(t, "slow")
		a := d.ask(t, "upgrade")
		if a.Error != "" {
			t.Fatal(a.Error)
		}
		d.know(t, a.Successor, 0)
		d.ask(t, "who") // it serves
		reported := func() bool { _, err := os.Stat(d.next + ".settled"); return err == nil }
		if reported() {
			t.Errorf("%s: the successor has settled before it has said so", end)
		}
		if end == "dies" {
			_ = d.born[1].Signal(os.Kill)
		} else if err := os.WriteFile(d.next+".tell", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the successor has settled", reported)
	}
}

func TestTwoUpgradesAtOnce(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	d.behave(t, "serve")
	answers := make(chan answer, 2)
	for range cap(answers) {
		go func() {
			a, err := d.try("upgrade")
			if err != nil {
				a.Error = err.Error()
			}
			answers <- a
		}()
	}
	for range cap(answers) {
		a := <-answers
		if (a.Error == "") != (a.Successor > 0) {
			t.Errorf("answer %+v", a)
		}
	}
	now := d.ask(t, "who")
	for _, a := range now.Ancestors[1:] { // where the second request came to the successor
		d.know(t, a.PID, a.StartTime)
	}
	d.know(t, now.PID, now.StartTime)
	if now.Generation < 2 {
		t.Errorf("generation %d serves", now.Generation)
	}
}

func TestListenerThatNobodyTakesIsClosed(t *testing.T) {
	t.Parallel()
	d := start(t, patience)
	d.behave(t, "forget")
	a := d.ask(t, "upgrade")
	if a.Error != "" {
		t.Fatal(a.Error)
	}
	d.know(t, a.Successor, 0)
	eventually(t, "connections are refused", func() bool {
		c, err := net.Dial("tcp", d.addr)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

// playToEnd has this binary play a role that ends by itself, and returns what it
// prints.
func playToEnd(t *testing.T, role string, env ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), upgrade.RoleEnv+"="+role, "GORACE=atexit_sleep_ms=0"), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// The variable has come from a daemon of somebody else's, and descriptors 3 and 4
// are the runtime's or none.
func TestNewWithoutAParent(t *testing.T) {
	out := playToEnd(t, "stray successor", tableflipEnv+"=yes")
	if !strings.Contains(out, tableflipEnv+" is set, but descriptors 3 and 4 are no pipes") {
		t.Errorf("New says %q", out)
	}
}

func TestOneUpgraderAProcess(t *testing.T) {
	out := playToEnd(t, "two upgraders")
	want := []string{
		"upgrade failed at " + upgrade.StageStart + ": process is not ready yet",
		"upgrade: tableflip: only a single Upgrader allowed",
		"upgrade: group web: the previous generation names socket 1.1, and has not passed it on",
	}
	if got := strings.Split(strings.TrimSpace(out), "\n"); !slices.Equal(got, want) {
		t.Errorf("it says %q, want %q", got, want)
	}
}
