//go:build unix

package upgrade

import (
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

func listenLocal(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// newOutgoing has the sockets of two groups, made by generation 2. Their listeners are closed.
func newOutgoing(t *testing.T) *outgoing {
	t.Helper()
	o := &outgoing{generation: 2}
	t.Cleanup(o.held.close)
	for _, group := range []string{"web", "api"} {
		ln := listenLocal(t)
		if err := o.add(Socket{ID: "ignored", Group: group, Network: "tcp"}, ln.(socket.Socket)); err != nil {
			t.Fatal(err)
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func TestOutgoingSockets(t *testing.T) {
	t.Parallel()
	o := newOutgoing(t)
	all := o.all()
	if len(all) != 2 || all[0].ID != "2.1" || all[1].ID != "2.2" || !strings.HasPrefix(all[0].Bound, "127.0.0.1:") {
		t.Fatalf("passed on: %+v", all)
	}
	ln, err := o.reopen("api")
	if err != nil || ln.Addr().String() != all[1].Bound {
		t.Fatalf("reopen = %v, %v, want a listener on %s", ln, err, all[1].Bound)
	}
	_ = ln.Close()
	if _, err := o.reopen("other"); !errors.Is(err, errNotHeld) {
		t.Errorf("reopen of a group that is not there: %v", err)
	}
	o.held.close()
	if _, err := o.reopen("web"); !errors.Is(err, errNotHeld) || !strings.HasPrefix(err.Error(), "upgrade: group web: reopen: socket 2.1: ") {
		t.Errorf("reopen of what is not held any more: %v", err)
	}
}

func TestOutgoingDropped(t *testing.T) {
	t.Parallel()
	o := newOutgoing(t)
	for _, tt := range []struct{ kept, want []string }{
		{nil, nil}, // it does not say
		{[]string{}, []string{"web", "api"}},
		{[]string{"2.2"}, []string{"web"}},
		{[]string{"2.1", "2.2"}, nil},
	} {
		if got := o.dropped(tt.kept); !slices.Equal(got, tt.want) {
			t.Errorf("kept %q: dropped %q, want %q", tt.kept, got, tt.want)
		}
	}
}

// What a generation takes of its parent's, its own successor gets, under the same ID.
func TestOutgoingInherit(t *testing.T) {
	t.Parallel()
	from, o := newOutgoing(t), &outgoing{generation: 3}
	t.Cleanup(o.held.close)
	p := &parent{manifest: Manifest{Sockets: from.all()}}
	old := p.manifest.Sockets[1]
	ln, err := o.inherit(&from.held, old, Socket{ID: "ignored", Group: "renamed"})
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	if all := o.all(); len(all) != 1 || all[0].ID != old.ID || all[0].Bound != old.Bound || all[0].Group != "renamed" {
		t.Errorf("passed on: %+v", all)
	}
	if err := o.add(Socket{Group: "new"}, listenLocal(t).(socket.Socket)); err != nil {
		t.Fatal(err)
	}
	if kept := p.kept(o.all()); !slices.Equal(kept, []string{old.ID}) {
		t.Errorf("kept %q, want %q", kept, old.ID)
	}
	if _, err := o.inherit(&from.held, old, old); err == nil || err.Error() != "upgrade: group api: the previous generation names socket 2.2, and has not passed it on" {
		t.Errorf("inherited twice: %v", err)
	}
	from.held.close() // as Ready does with the rest
	if ln, err := o.reopen("renamed"); err != nil {
		t.Error(err)
	} else {
		_ = ln.Close()
	}
}

// Who sends may add to the files, and no socket is closed meanwhile.
func TestOutgoingSend(t *testing.T) {
	t.Parallel()
	o := newOutgoing(t)
	_, w := newPipe(t)
	o.pass("kept", w)
	o.pass("taken back", w)
	o.pass("taken back", nil)
	err := o.send(func(files map[string]*os.File, sockets map[string]int) error {
		if len(files) != 1 || files["kept"] != w || len(sockets) != 2 {
			t.Errorf("sent: %v, %v", files, sockets)
		}
		files["own"] = w
		if o.held.mu.TryLock() {
			t.Error("the sockets could be closed while they are sent")
		}
		return os.ErrInvalid
	})
	if !errors.Is(err, os.ErrInvalid) {
		t.Errorf("send = %v", err)
	}
	o.held.close()
	_ = o.send(func(files map[string]*os.File, sockets map[string]int) error {
		if len(files) != 1 || len(sockets) != 0 {
			t.Errorf("sent after that: %v, %v", files, sockets)
		}
		return nil
	})
}
