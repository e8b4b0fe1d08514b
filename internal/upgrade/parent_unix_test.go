//go:build unix

package upgrade

import (
	"bytes"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// newTestRelay is one whose parent lives until gone is called. ready is what the parent's tableflip reads.
func newTestRelay(t *testing.T) (r *relay, ready *os.File, gone func()) {
	t.Helper()
	ready, w := newPipe(t)
	_, to := newPipe(t)
	r = &relay{exited: make(chan struct{}), to: to, ready: w}
	return r, ready, func() { close(r.exited) }
}

// A first generation has no parent: nothing comes, and nothing waits.
func TestNoParent(t *testing.T) {
	t.Parallel()
	p := &parent{manifest: Manifest{Generation: 1}}
	p.awaitOutcome()
	p.notifyReady()
	p.behind.relieve(time.Hour)
	if p.lives() || p.exited() != nil || p.late != nil || p.file("lock") != nil {
		t.Errorf("a first generation has %+v", p.manifest)
	}
}

// The parent says by a byte that its patience is over, and by the end that it knows how the upgrade went.
func TestWatchParent(t *testing.T) {
	t.Parallel()
	r, w := newPipe(t)
	p := &parent{knows: make(chan struct{}), late: make(chan struct{}), manifest: Manifest{Timeout: time.Minute}}
	go p.watch(r)
	for range 2 { // it may ask more than once
		if _, err := w.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		<-p.late
	}
	if isClosed(p.knows) {
		t.Error("the parent knows before it says so")
	}
	_ = w.Close()
	p.awaitOutcome()
	if !isClosed(p.knows) {
		t.Error("nobody waits for the parent")
	}
}

// A parent that says nothing is waited for as long as it waits itself.
func TestAwaitOutcomeEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &parent{knows: make(chan struct{}), manifest: Manifest{Timeout: time.Minute}}
		began := time.Now()
		p.awaitOutcome()
		if took := time.Since(began); took != time.Minute {
			t.Errorf("it waited %v, want %v", took, time.Minute)
		}
	})
}

// message is what a parent sends: one that stands by, or one that does not.
func message(t *testing.T, standsBy bool) (l *bootstrapMessage, parentsEnd, older *os.File) {
	t.Helper()
	_, lock := newPipe(t)
	l = &bootstrapMessage{manifest: Manifest{Generation: 2}, files: map[string]*os.File{"lock": lock}}
	if !standsBy {
		return l, nil, nil
	}
	parentsEnd, ours := newPair(t)
	older, olders := newPair(t)
	l.files[fileStandby], l.files[fileOlder] = ours, olders
	return l, parentsEnd, older
}

func newPair(t *testing.T) (one, other *os.File) {
	t.Helper()
	one, other, err := fdpass.Pair(unix.SOCK_STREAM, "standby")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = one.Close(), other.Close() })
	return one, other
}

func read(t *testing.T, f *os.File, n int) []byte {
	t.Helper()
	if err := f.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(f, data); err != nil {
		t.Fatal(err)
	}
	return data
}

// One byte decides: on the channel of a parent that stands by, or on tableflip's pipe to one that does not, and never on both.
func TestNotifyReady(t *testing.T) {
	t.Parallel()
	for _, standsBy := range []bool{true, false} {
		r, ready, _ := newTestRelay(t)
		p := &parent{relay: r}
		l, parentsEnd, older := message(t, standsBy)
		ln := newOutgoing(t)
		l.sockets.fds = map[string]int{"2.1": ln.held.take("2.1")}
		p.take(l)
		if p.file("lock") == nil || p.file("lock") != nil || p.file(fileStandby) != nil {
			t.Error("files of the caller's, or of this package's, are had more or less than once")
		}
		if !p.lives() {
			t.Error("the parent does not live")
		}
		p.notifyReady()
		_ = r.ready.Close()
		told, err := io.ReadAll(ready)
		if err != nil || bytes.Equal(told, []byte{notifyReady}) == standsBy {
			t.Errorf("stands by %v: tableflip's pipe has %q, %v", standsBy, told, err)
		}
		if _, err := p.sockets.open("2.1"); err == nil {
			t.Error("a socket that nobody has taken is still there")
		}
		if !standsBy {
			continue
		}
		if got := read(t, parentsEnd, 1); got[0] != saysTookOver {
			t.Errorf("the parent hears %q", got)
		}
		if got := read(t, older, 2); string(got) != string([]byte{saysHeir, saysEndStandby}) {
			t.Errorf("who stands by behind the parent hears %q", got)
		}
	}
}

func TestParentLives(t *testing.T) {
	t.Parallel()
	r, _, gone := newTestRelay(t)
	p := &parent{relay: r}
	if !p.lives() || isClosed(p.exited()) {
		t.Error("the parent is gone too early")
	}
	gone()
	if p.lives() || !isClosed(p.exited()) {
		t.Error("the parent is not gone")
	}
}

// The channel to who stands by stays open as long as an upgrade passes it on, also when nobody stands by any more.
func TestPassStandbyOn(t *testing.T) {
	t.Parallel()
	parentsEnd, ours := newPair(t)
	b := openBehind(ours)
	watched := make(chan struct{})
	go func() {
		b.watch()
		close(watched)
	}()
	if err := b.passOn(func(conn *os.File) error {
		_ = parentsEnd.Close()
		<-b.gone
		if _, err := fdpass.Number(conn); err != nil || isClosed(watched) {
			t.Errorf("it is closed while it is passed on: %v", err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	<-watched
	if _, err := fdpass.Number(ours); err == nil {
		t.Error("it is still open")
	}
	for _, b := range []*behind{b, nil} {
		if err := b.passOn(func(conn *os.File) error {
			if conn != nil {
				t.Error("a channel to nobody is passed on")
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	b.say(saysTookOver) // to nobody: no error, and no signal
	b.relieve(time.Hour)
}

func TestRelieve(t *testing.T) {
	t.Parallel()
	parentsEnd, ours := newPair(t)
	b := openBehind(ours)
	go b.watch()
	relieved := make(chan struct{})
	go func() {
		b.relieve(time.Hour)
		close(relieved)
	}()
	if got := read(t, parentsEnd, 1); got[0] != saysEndStandby {
		t.Errorf("who stands by hears %q", got)
	}
	if isClosed(relieved) {
		t.Error("it is not waited for")
	}
	_ = parentsEnd.Close()
	<-relieved
}
