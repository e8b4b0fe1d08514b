package supervise_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// blocked are TCP connections whose close lasts for an hour, since nobody reads what they have been sent.
func blocked(n int) (conns []*net.TCPConn, release func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = ln.Close() }()
	var peers []net.Conn
	for range n {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return nil, nil, err
		}
		peer, err := ln.Accept()
		if err != nil {
			return nil, nil, err
		}
		conn := c.(*net.TCPConn)
		_ = conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		_, _ = io.Copy(conn, endless{}) // until the buffers are full
		if err := conn.SetLinger(3600); err != nil {
			return nil, nil, err
		}
		conns, peers = append(conns, conn), append(peers, peer)
	}
	return conns, func() {
		for _, p := range peers {
			_ = p.Close()
		}
	}, nil
}

// endless is a reader of as many bytes as are wanted.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// block sends connections whose close blocks, on both sockets, and keeps on writing to them from other processes than the
// one that serves, which is what anybody of its user can do.
func block(c *supervise.Client) error {
	serving := signed(supervise.Serving, 1)
	if err := c.Notify(serving); err != nil {
		return err
	}
	conns, _, err := blocked(2)
	if err != nil {
		return err
	}
	notify, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return err
	}
	// The supervisor must be the last to close them: meanwhile it reads nothing.
	if err := daemon.Freeze(os.Getppid()); err != nil {
		return err
	}
	for i, to := range []syscall.Conn{notify.(syscall.Conn), c.File()} {
		if err := sendAway(to, conns[i]); err != nil {
			return err
		}
	}
	if err := syscall.Kill(os.Getppid(), syscall.SIGCONT); err != nil {
		return err
	}
	for _, text := range []string{"", "x", strings.Repeat("{", 60<<10), `{"v":1,"kind":"alive"}`} {
		for _, to := range []io.Writer{notify, c.File()} {
			go func() {
				for {
					if _, err := to.Write([]byte(text)); err != nil {
						time.Sleep(time.Millisecond) // the buffer is full
					}
				}
			}()
		}
	}
	fmt.Println("floods")
	return nil
}

func descriptorOf(c syscall.Conn) (n int) {
	raw, err := c.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { n = int(fd) })
	}
	return n
}

// sendAway sends a connection, behind other descriptors. In this process it goes: the one on its way is the last, and whoever
// gets it closes the connection.
func sendAway(to syscall.Conn, conn *net.TCPConn, before ...int) error {
	raw, err := to.SyscallConn()
	if err != nil {
		return err
	}
	own := descriptorOf(conn)
	rights := unix.UnixRights(append(before, own)...)
	ctlErr := raw.Control(func(fd uintptr) { err = unix.Sendmsg(int(fd), []byte(`{"v":1,"kind":"alive"}`), rights, nil, 0) })
	return errors.Join(ctlErr, err, unix.Dup3(int(os.Stdin.Fd()), own, unix.O_CLOEXEC))
}

// The supervisor passes a stop on within a second whatever its sockets are flooded with, and ends when nobody lives.
func TestFloodDoesNotKeepTheSupervisorFromItsWork(t *testing.T) {
	path := filepath.Join(t.TempDir(), "systemd")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	defer func() { must(t, systemd.Close()) }()
	go func() { _, _ = io.Copy(io.Discard, systemd) }()
	f := start(t, "blocker", "NOTIFY_SOCKET="+path)
	f.line("floods")
	time.Sleep(time.Second) // is what is tested: all that there is to read has been read, or blocks
	began := time.Now()
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.line("generation 1 stops")
	if took := time.Since(began); took > 2*time.Second { // one for the supervisor, one for a machine that is busy
		t.Errorf("the stop has been passed on after %v", took)
	}
	if err := f.cmd.Wait(); err != nil {
		t.Errorf("the supervisor has ended with %v", err)
	}
}

func limitFiles(n uint64) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = n
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

// fewFiles are as many descriptors as a crowd can fill.
const fewFiles = 40

// hoard has the supervisor use up all of its descriptors: by processes that say that they are generations, until there is one
// left, and by a message that takes that one for an hour, since a connection for which there is no room is closed while it is read.
func hoard(c *supervise.Client) error {
	if os.Getuid() == 0 {
		if err := syscall.Setuid(nobody); err != nil {
			return err
		}
	}
	upgrading := signed(supervise.Upgrading, 1)
	upgrading.Within = limit
	if err := errors.Join(c.Notify(signed(supervise.Serving, 1)), c.Notify(upgrading)); err != nil {
		return err
	}
	conns, _, err := blocked(1)
	if err != nil {
		return err
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR2)
	if err := assemble(c, fewFiles); err != nil {
		return err
	}
	fmt.Println("pid", os.Getpid(), "hoarder")
	<-told // nothing is read
	err = sendAway(c.File(), conns[0], int(os.Stdin.Fd()))
	fmt.Println("hoards")
	return err
}

// awaitRead waits until all has been read that was sent on a socket.
func awaitRead(f *os.File) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		n, err := unix.IoctlGetInt(descriptorOf(f), unix.SIOCOUTQ)
		if err != nil || n == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("the supervisor does not read")
		}
	}
}

// A stop is passed on also where the service's user has had the supervisor open all that it could.
func TestDescriptorsAreNotUsedUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "systemd")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	defer func() { must(t, systemd.Close()) }()
	go func() { _, _ = io.Copy(io.Discard, systemd) }()
	f := start(t, "hoarder", "NOTIFY_SOCKET="+path, fmt.Sprintf("%s=%d", filesEnv, fewFiles))
	hoarder := 0
	for range fewFiles + 1 {
		text, name, _ := strings.Cut(f.line("pid "), " ")
		pid, err := strconv.Atoi(text)
		must(t, err)
		if name == "hoarder" {
			hoarder = pid
			continue
		}
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	}
	channel := takeChannel(t, hoarder, f.cmd.Process.Pid)
	must(t, awaitRead(channel))
	must(t, channel.Close())
	must(t, daemon.Freeze(f.cmd.Process.Pid)) // what is sent is to be gone from its sender when it is read
	must(t, syscall.Kill(hoarder, syscall.SIGUSR2))
	f.line("hoards")
	must(t, f.cmd.Process.Signal(syscall.SIGCONT))
	time.Sleep(time.Second) // is what is tested: all that there is to read has been read, or blocks
	must(t, f.cmd.Process.Signal(syscall.SIGTERM))
	f.line("generation 1 stops")
	f.logs("signal passed on")
}
