package handover_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
)

// descriptors returns the open files of this process and their flags.
func descriptors(tb testing.TB) map[string]uint64 {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fdinfo")
	if err != nil {
		tb.Fatal(err)
	}
	flags := make(map[string]uint64)
	for _, e := range entries {
		text, err := os.ReadFile("/proc/self/fdinfo/" + e.Name())
		if err != nil {
			continue // that of ReadDir
		}
		_, rest, _ := strings.Cut(string(text), "flags:")
		var f uint64
		if _, err := fmt.Sscanf(rest, "%o", &f); err != nil {
			tb.Fatalf("fdinfo %q: %v", text, err)
		}
		flags[e.Name()] = f
	}
	return flags
}

// useAll moves connections through a chain, refuses some, and has the end come.
func useAll(t *testing.T) {
	t.Helper()
	passOnDuringMoves(t, 3)
	refusing := connect(t, receiver(t, func(string, net.Conn, []byte) error { return errors.New("no") }))
	_, _, results := moves(t, refusing, 10, name)
	for range 10 {
		_ = within(t, results, "Move")
	}
	s, r := fake(t)
	_, _, results = moves(t, s, 10, name)
	r.next(t)
	r.Close()
	for range 10 {
		_ = within(t, results, "Move")
	}
}

func TestNoDescriptorLeaks(t *testing.T) {
	t.Run("warm up", useAll) // the poller has descriptors of its own
	before := len(descriptors(t))
	for range 5 {
		t.Run("moves", useAll)
	}
	// The last ones are closed by goroutines that have just been told.
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		after := len(descriptors(t))
		if after <= before {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors are open, %d were before", after, before)
		}
	}
}

// A program that this process starts inherits nothing of it.
func TestAllIsClosedOnExec(t *testing.T) {
	before := descriptors(t)
	ours, theirs := channel(t)
	wantCloseOnExec(t, before)
	got := newShelf(t)
	r := receiver(t, got.take)
	if err := r.Add(theirs); err != nil {
		t.Fatal(err)
	}
	s, err := handover.NewSender(ours)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	server, _ := pair(t, "tcp")
	if err := s.Move("web", nil, socket(t, server)); err != nil {
		t.Fatal(err)
	}
	to := receiver(t, got.take)
	r.PassOn(connect(t, to))
	if err := s.Move("web", nil, socket(t, server)); err != nil {
		t.Fatal(err)
	}
	wantCloseOnExec(t, before)
}

// wantCloseOnExec wants that of all descriptors that are not in before.
func wantCloseOnExec(t *testing.T, before map[string]uint64) {
	t.Helper()
	for fd, flags := range descriptors(t) {
		if _, old := before[fd]; !old && flags&syscall.O_CLOEXEC == 0 {
			target, _ := os.Readlink("/proc/self/fd/" + fd)
			t.Errorf("descriptor %s (%s) is inherited", fd, target)
		}
	}
}

func init() { roles["receive with few descriptors"] = reexec.OrFail(receiveWithFew) }

// receiveWithFew receives from descriptor 3. Its input says how many descriptors
// it is to have free; it answers with a line when it has.
func receiveWithFew() error {
	const limit = 64
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		return err
	}
	r, err := handover.NewReceiver([]string{"web"}, func(_ string, c net.Conn, _ []byte) (func(error), error) {
		return func(error) {
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}, nil
	})
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.Add(os.NewFile(3, "channel")); err != nil {
		return err
	}
	fmt.Println("ready")
	var filling []int
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var free int
		if _, err := fmt.Sscan(in.Text(), &free); err != nil {
			return err
		}
		for err = nil; err == nil; {
			var fd int
			if fd, err = syscall.Dup(0); err == nil {
				filling = append(filling, fd)
			}
		}
		for ; free > 0; free-- {
			syscall.Close(filling[len(filling)-1])
			filling = filling[:len(filling)-1]
		}
		fmt.Println("ready")
	}
	return nil
}

// A successor without room for descriptors refuses, for want of one when the
// socket arrives or of the next, and the connection works on here.
func TestReceiverOutOfDescriptors(t *testing.T) {
	ours, theirs := channel(t)
	cmd := reexec.Command(t, "receive with few descriptors")
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	theirs.Close()
	lines := bufio.NewScanner(out)
	ready := func() {
		t.Helper()
		if !lines.Scan() || lines.Text() != "ready" {
			t.Fatalf("the receiver says %q, %v", lines.Text(), lines.Err())
		}
	}
	ready()
	s, err := handover.NewSender(ours)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	server, client := pair(t, "tcp")
	for _, free := range []int{0, 1, 0} {
		fmt.Fprintln(in, free)
		ready()
		for range 10 { // a leak of one would change the result
			err := s.Move("web", []byte("state"), socket(t, server))
			if !errors.Is(err, handover.ErrRefused) || !strings.Contains(err.Error(), syscall.EMFILE.Error()) {
				t.Errorf("%d free: Move = %v, want ErrRefused for too many open files", free, err)
			}
			if free == 1 { // net.FileConn had taken none
				fmt.Fprintln(in, free)
				ready()
			}
		}
		wantUsable(t, server, client)
	}
	fmt.Fprintln(in, 3)
	ready()
	if err := s.Move("web", nil, socket(t, server)); err != nil {
		t.Fatalf("3 free: Move = %v", err)
	}
	server.Close()
	if _, err := io.WriteString(client, "echo"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4)
	if _, err := io.ReadFull(client, b); err != nil || string(b) != "echo" {
		t.Errorf("the new owner answers %q, %v, want an echo", b, err)
	}
}
