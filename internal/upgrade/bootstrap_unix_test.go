//go:build unix

package upgrade

import (
	"errors"
	"io"
	"os"
	"reflect"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// newTestConn is a bootstrap channel as two generations share it.
func newTestConn(t *testing.T) *bootstrapConn {
	t.Helper()
	sender, receiver, err := newBootstrapConn()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sender.Close(); receiver.Close() })
	return &bootstrapConn{sender: sender, receiver: receiver}
}

// write puts a message into the bootstrap channel that no generation would write.
func (m *bootstrapConn) write(t *testing.T, data string, fds ...int) {
	t.Helper()
	sender, err := fdpass.Number(m.sender)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Sendmsg(sender, []byte(data), unix.UnixRights(fds...), nil, 0); err != nil {
		t.Fatal(err)
	}
}

func newPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// isAtEnd reports whether nobody has the write end of a pipe any more.
func isAtEnd(t *testing.T, r *os.File) bool {
	t.Helper()
	if err := r.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err := r.Read(make([]byte, 1))
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return errors.Is(err, io.EOF)
}

func TestBootstrapCarriesManifestAndFiles(t *testing.T) {
	m := newTestConn(t)
	r1, w1 := newPipe(t)
	r2, w2 := newPipe(t)
	if err := m.send(testManifest, map[string]*os.File{"one": w1, "two": w2}, nil); err != nil {
		t.Fatal(err)
	}
	l, err := m.receive()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(l.manifest, testManifest) || len(l.files) != 2 {
		t.Errorf("received %+v and %d files, want %+v and 2", l.manifest, len(l.files), testManifest)
	}
	w1.Close()
	w2.Close()
	for name, r := range map[string]*os.File{"one": r1, "two": r2} {
		checkReceived(t, name, l.files[name], r)
	}
}

// checkReceived checks that f, received under a name, is the write end of r.
func checkReceived(t *testing.T, name string, f, r *os.File) {
	t.Helper()
	fd, err := fdpass.Number(f)
	if err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("file %s: flags %x, %v: a child process would inherit it", name, flags, err)
	}
	if _, err := io.WriteString(f, name); err != nil {
		t.Error(err)
	}
	f.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != name {
		t.Errorf("what is written into file %s is read as %q, %v", name, got, err)
	}
}

func TestBootstrapWithoutFiles(t *testing.T) {
	m := newTestConn(t)
	if err := m.send(testManifest, nil, nil); err != nil {
		t.Fatal(err)
	}
	l, err := m.receive()
	if err != nil || len(l.files) != 0 {
		t.Errorf("receive = %+v, %v, want no files", l, err)
	}
}

// A message is there before its reader is, or there is none: nobody waits.
func TestBootstrapWithoutAMessage(t *testing.T) {
	m := newTestConn(t)
	if _, err := m.receive(); !errors.Is(err, unix.EAGAIN) || m.isUnread() {
		t.Errorf("receive = %v, want %v", err, unix.EAGAIN)
	}
}

// What does not fit is refused, and not waited for.
func TestFullBootstrap(t *testing.T) {
	m := newTestConn(t)
	var err error
	for i := 0; i < 10_000 && err == nil; i++ {
		err = m.send(testManifest, nil, nil)
	}
	if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("send into a full bootstrap channel: %v", err)
	}
}

// What is unread when the last generation has ended goes with it: a lock would else be held for ever.
func TestUnreadMessageGoesWithTheChannel(t *testing.T) {
	m := newTestConn(t)
	r, w := newPipe(t)
	if err := m.send(testManifest, map[string]*os.File{"lock": w}, nil); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if isAtEnd(t, r) {
		t.Fatal("the message does not hold the file open")
	}
	m.sender.Close()
	m.receiver.Close()
	if !isAtEnd(t, r) {
		t.Error("a file in a message that nobody can read is still open")
	}
}

// The two ends come in any order. The bootstrap message says which is which.
func TestInheritedConn(t *testing.T) {
	for _, swapped := range []bool{false, true} {
		m := newTestConn(t)
		if err := m.send(testManifest, nil, nil); err != nil {
			t.Fatal(err)
		}
		one, other := dupOf(t, m.sender), dupOf(t, m.receiver)
		if swapped {
			one, other = other, one
		}
		sender, receiver, err := inheritedConn(one, other)
		if err != nil {
			t.Fatal(err)
		}
		defer sender.Close()
		defer receiver.Close()
		next := &bootstrapConn{sender: sender, receiver: receiver}
		if l, err := next.receive(); err != nil || !reflect.DeepEqual(l.manifest, testManifest) {
			t.Errorf("swapped %v: received %+v, %v", swapped, l, err)
		}
		if err := next.send(testManifest, nil, nil); err != nil {
			t.Error(err)
		}
		if l, err := m.receive(); err != nil || l.manifest.Generation != testManifest.Generation {
			t.Errorf("swapped %v: the next message is %+v, %v", swapped, l, err)
		}
	}
}

func dupOf(t *testing.T, f *os.File) int {
	t.Helper()
	fd, err := fdpass.Dup(f)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// What another program has passed on is no bootstrap channel, and stays open.
func TestInheritedConnOfOthers(t *testing.T) {
	empty, full := newTestConn(t), newTestConn(t)
	if err := full.send(testManifest, nil, nil); err != nil {
		t.Fatal(err)
	}
	r, w := newPipe(t)
	one, other, err := fdpass.Pair(unix.SOCK_STREAM, "streams")
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	defer other.Close()
	udp, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(udp)
	fd := func(f *os.File) int {
		n, err := fdpass.Number(f)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for name, pair := range map[string][2]int{
		"no message":               {fd(empty.sender), fd(empty.receiver)},
		"pipes":                    {fd(r), fd(w)},
		"stream sockets":           {fd(one), fd(other)},
		"half a bootstrap channel": {fd(full.receiver), udp},
		"nothing":                  {-1, -1},
	} {
		if _, _, err := inheritedConn(pair[0], pair[1]); err == nil {
			t.Errorf("%s: taken for a bootstrap channel", name)
		}
	}
}

// A successor that died early has left its bootstrap message unread.
func TestBootstrapThrowsUnreadMessagesAway(t *testing.T) {
	m := newTestConn(t)
	r, w := newPipe(t)
	if err := m.send(testManifest, map[string]*os.File{"report": w}, nil); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if isAtEnd(t, r) {
		t.Fatal("the message does not hold the pipe open")
	}
	m.empty()
	next := testManifest
	next.Generation++
	if err := m.send(next, nil, nil); err != nil {
		t.Fatal(err)
	}
	if !isAtEnd(t, r) {
		t.Error("the pipe in the message thrown away is still open")
	}
	l, err := m.receive()
	if err != nil || l.manifest.Generation != next.Generation {
		t.Errorf("receive = %+v, %v, want generation %d", l, err, next.Generation)
	}
}

func TestBootstrapEmpty(t *testing.T) {
	m := newTestConn(t)
	r, w := newPipe(t)
	m.empty() // nothing in it: must not wait
	if err := m.send(testManifest, map[string]*os.File{"report": w}, nil); err != nil {
		t.Fatal(err)
	}
	w.Close()
	m.empty()
	if !isAtEnd(t, r) {
		t.Error("the pipe in the message is still open")
	}
	if _, _, err := m.read(); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("the bootstrap channel is not empty: %v", err)
	}
}
