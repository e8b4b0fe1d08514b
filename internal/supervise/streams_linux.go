package supervise

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// streams are what the generations write to, and must not have themselves.
type streams struct {
	relays []chan struct{} // closed when all has been written on
}

// open returns the standard streams of the generations: this process's, but where they become another user neither the input nor an output
// by which more could be done than to write what is read by the one it is meant for. Whoever has a terminal's descriptor, mostly open for reading and writing, can read what is typed there, in
// a session of his own unstopped, and change the terminal's settings for all others. The input may be a script that root's shell reads as it goes
// on: whoever has it can have the shell skip lines, and read some again. In a file he could overwrite what others have written. A socket, as inetd and socat
// pass one, may be the input of root's shell too, whatever this process's input is. What is written goes through a pipe instead. What is opened for generation 1 is to be closed here.
func (s *streams) open(becomes bool) (all, opened []*os.File, err error) {
	all = []*os.File{os.Stdin, os.Stdout, os.Stderr}
	if !becomes {
		return all, nil, nil
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, nil, err
	}
	all[0], opened = null, append(opened, null)
	for fd := 1; fd <= 2; fd++ {
		if isOnlyWritten(fd) {
			continue
		}
		if fd == 2 && all[1] != os.Stdout && sameFile(os.Stdout, os.Stderr) {
			all[2] = all[1] // or the order were another one
			continue
		}
		w, err := s.relay(all[fd])
		if err != nil {
			return nil, opened, err
		}
		all[fd], opened = w, append(opened, w)
	}
	return all, opened, nil
}

// relay returns a pipe of which all is written on. Its end and errors are nobody's: who writes must not wait for
// a terminal that has been closed.
func (s *streams) relay(to *os.File) (w *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	// Only this end does not block. The other one is not this process's alone, and programs expect theirs to block.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		_, _ = unix.Close(fds[0]), unix.Close(fds[1])
		return nil, os.NewSyscallError("fcntl", err)
	}
	r, over := os.NewFile(uintptr(fds[0]), to.Name()), make(chan struct{})
	s.relays = append(s.relays, over)
	go writeOn(r, to, over)
	return os.NewFile(uintptr(fds[1]), to.Name()), nil
}

func writeOn(from, to *os.File, over chan<- struct{}) {
	defer close(over)
	writeInBackground()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			_, _ = to.Write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// end waits for an instant until all has been written on that the generations have written. Others may have the pipe, and
// a terminal may be stopped.
func (s *streams) end() {
	late := time.After(lastWrite)
	for _, over := range s.relays {
		select {
		case <-over:
		case <-late:
			return
		}
	}
}

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// isOnlyWritten reports whether nothing can be done with a descriptor but to write: it is the writing end of a pipe that others may not open, /dev/null, and the socket of systemd's
// journal, on which nothing comes. The journal learns by it who has written, so there is a reason to pass it on.
func isOnlyWritten(fd int) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return false
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFIFO:
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		return err == nil && flags&unix.O_ACCMODE == unix.O_WRONLY && st.Mode&0o077 == 0 // it could be opened anew in /proc/self/fd, to read
	case unix.S_IFSOCK:
		return os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino) // systemd.exec(5)
	case unix.S_IFCHR:
		return st.Rdev == unix.Mkdev(1, 3) // null(4)
	}
	return false
}

func sameFile(a, b *os.File) bool {
	one, err := a.Stat()
	if err != nil {
		return false
	}
	other, err := b.Stat()
	return err == nil && os.SameFile(one, other)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
