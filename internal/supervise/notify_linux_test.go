package supervise_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/shortdir"
)

// What a supervisor has left that was killed, the next one removes; nothing else.
func TestNotifySocketOfTheDead(t *testing.T) {
	base := shortdir.Make(t)
	user := &supervise.User{UID: os.Geteuid() + 1, GID: os.Getegid()}
	if os.Geteuid() != 0 {
		user = nil // nothing can be given to another
	}
	door := func() supervise.Door {
		d, err := supervise.OpenDoor(base, user)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	dead, alive := door(), door()
	defer alive.Remove()
	dead.Abandon()
	others := []string{
		filepath.Join(base, "another"),
		filepath.Join(base, "gozd-notify-begun"),   // it has no socket yet
		filepath.Join(base, "gozd-notify-anybody"), // others may write there
	}
	for _, dir := range others {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(others[2], 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(dead.Path(), filepath.Join(others[2], "notify")); err != nil {
		t.Fatal(err)
	}
	next := door()
	defer next.Remove()
	left, err := filepath.Glob(filepath.Join(base, "*"))
	if err != nil {
		t.Fatal(err)
	}
	want := append(others, filepath.Dir(alive.Path()), filepath.Dir(next.Path()))
	slices.Sort(want)
	if !slices.Equal(left, want) {
		t.Errorf("there are %q, want %q", left, want)
	}
	if _, err := os.Lstat(alive.Path()); err != nil {
		t.Errorf("the socket of one that lives: %v", err)
	}
}

// Others can make any number of directories in one of everybody's: the start has no time for all of them.
func TestNotifySocketsOfMany(t *testing.T) {
	base := shortdir.Make(t)
	dead, err := supervise.OpenDoor(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	dead.Abandon()
	const all = 200
	for n := range all - 1 {
		dir := filepath.Join(base, fmt.Sprintf("gozd-notify-%d", n))
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Link(dead.Path(), filepath.Join(dir, "notify"))); err != nil {
			t.Fatal(err)
		}
	}
	next, err := supervise.OpenDoor(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Remove()
	left, err := os.ReadDir(base)
	if want := all - 64 + 1; err != nil || len(left) != want {
		t.Errorf("%d are left, %v, want %d", len(left), err, want)
	}
}
