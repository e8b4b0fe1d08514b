//go:build unix

package fdpass

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Pair makes two connected Unix sockets of a kind, syscall.SOCK_STREAM or another, that do not block. Both files have that name.
func Pair(kind int, name string) (one, other *os.File, err error) {
	syscall.ForkLock.RLock() // macOS has no SOCK_CLOEXEC: a fork must not come between
	fds, err := unix.Socketpair(unix.AF_UNIX, kind, 0)
	if err == nil {
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			err = errors.Join(err, unix.SetNonblock(fd, true)) // or a goroutine that waits would cost a thread
		}
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, os.NewSyscallError("socketpair", err))
	}
	return os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name), nil
}

// Number returns the descriptor of f without putting f into blocking mode, as f.Fd would. It stays f's: nobody may close f
// while the number is in use.
func Number(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	err = raw.Control(func(n uintptr) { fd = int(n) })
	return fd, err
}

// Dup returns a duplicate of the descriptor of a file, listener or connection. The caller closes it.
func Dup(c syscall.Conn) (dup int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	var dupErr error
	err = raw.Control(func(fd uintptr) { dup, dupErr = DupNumber(int(fd)) })
	return dup, errors.Join(err, dupErr)
}

// firstNumber is the lowest number of a duplicate: a program may have closed its standard streams, and write to them all the same.
const firstNumber = 3

// DupNumber is Dup for a bare descriptor.
func DupNumber(fd int) (dup int, err error) {
	dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstNumber)
	return dup, os.NewSyscallError("fcntl", err)
}

// Send writes one message with descriptors, which stay the caller's. It does not wait for room in the socket, but as [InFlight] does.
func Send(to int, data []byte, fds []int) error {
	return InFlight(func() error {
		return os.NewSyscallError("sendmsg", unix.Sendmsg(to, data, unix.UnixRights(fds...), nil, unix.MSG_DONTWAIT))
	})
}

// inFlightWait is how long descriptors may wait until others have arrived.
const inFlightWait = 5 * time.Second

// InFlight calls send, which sends descriptors, until it returns anything but ETOOMANYREFS, or has done so for five seconds. The kernel counts the
// descriptors of a user that are on their way, in all processes, and refuses more than the RLIMIT_NOFILE of the one that sends (unix(7)), but
// not root's: nothing has been sent then, and there is room again when somebody has read some.
func InFlight(send func() error) error {
	for deadline, wait := time.Now().Add(inFlightWait), time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err := send()
		if !errors.Is(err, unix.ETOOMANYREFS) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(wait)
	}
}

// Recv reads one message of at most len(data) bytes and about most descriptors, and does not wait for it. Descriptors that
// do not fit are closed by the kernel. The caller closes what is returned.
func Recv(from int, data []byte, most int) (n int, fds []int, err error) {
	oob := make([]byte, unix.CmsgSpace(4*most))
	syscall.ForkLock.RLock() // macOS has no MSG_CMSG_CLOEXEC
	defer syscall.ForkLock.RUnlock()
	n, oobn, _, _, err := unix.Recvmsg(from, data, oob, unix.MSG_DONTWAIT)
	if err != nil {
		return 0, nil, os.NewSyscallError("recvmsg", err)
	}
	_, fds, err = Parse(oob[:oobn])
	return n, fds, err
}

// Parse returns what the control data of a message contains: the PID of its sender, 0 where the kernel does not say, and
// descriptors, which the caller closes. Data that the kernel has not made is an error, and then there are none.
func Parse(oob []byte) (pid int, fds []int, err error) {
	controls, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0, nil, os.NewSyscallError("control data", err)
	}
	for i := range controls {
		if sender, ok := senderOf(&controls[i]); ok {
			pid = sender
			continue
		}
		some, err := unix.ParseUnixRights(&controls[i])
		if err != nil {
			Close(fds)
			return 0, nil, os.NewSyscallError("control data", err)
		}
		for _, fd := range some {
			unix.CloseOnExec(fd)
		}
		fds = append(fds, some...)
	}
	return pid, fds, nil
}

// Close closes descriptors.
func Close(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// CloseOnExec keeps a descriptor from the processes that this one starts.
func CloseOnExec(fd int) { unix.CloseOnExec(fd) }
