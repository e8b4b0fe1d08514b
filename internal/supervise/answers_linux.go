package supervise

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// answers is the supervisor's end of the pipe on which generations learn whether they are watched. A socket would have room for what others
// send, and for descriptors.
type answers struct{ file *os.File }

func newAnswers() (ours answers, theirs *os.File, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return answers{}, nil, fmt.Errorf("supervise: answers: %w", os.NewSyscallError("pipe2", err))
	}
	return answers{os.NewFile(uintptr(p[1]), "answers")}, os.NewFile(uintptr(p[0]), "answers"), nil
}

// say waits for nobody. A pipe that is full is one that nobody reads.
func (a answers) say(to uint64, refused error) error {
	text := ""
	if refused != nil {
		text = refused.Error()
	}
	line, err := answer{To: to, Refused: text}.encode()
	if err != nil {
		return err
	}
	fd, err := fdpass.Number(a.file)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, line)
	return os.NewSyscallError("write", err)
}

// answer says whether the process that asks is watched, and can be.
func (s *supervisor) answer(pid int, e Event) {
	err := s.processes.watches(pid, e)
	if err != nil {
		s.drop(pid, "not believed", err)
	}
	if err := s.answers.say(e.Asks, err); err != nil && s.complaints.may() {
		s.log.Warn("a generation gets no answer", "pid", pid, "error", err)
	}
}

// watches takes a process that asks for a generation if it is none yet, and returns an error where it is not, or where
// this process could not find out whose it is before it signals it, or could not signal it.
func (p *processes) watches(pid int, e Event) error {
	if p.generations.find(pid) == nil {
		if err := p.admit(pid, e); err != nil {
			return err
		}
	} else if _, err := readKin(pid); err != nil {
		return p.held[pid].whyUnseen(pid, err)
	}
	return p.held[pid].whyDeaf(pid)
}

func newAnswerReader(f *os.File) (*answerReader, error) {
	fd, err := fdpass.Number(f)
	if err == nil {
		err = os.NewSyscallError("fcntl", unix.SetNonblock(fd, true)) // somebody else may be quicker
	}
	return &answerReader{file: f}, err
}

// readUntil returns os.ErrClosed where there is no supervisor any more.
func readUntil(f *os.File, buf []byte, deadline time.Time) (int, error) {
	fd, err := fdpass.Number(f)
	if err != nil {
		return 0, err
	}
	for {
		n, err := unix.Read(fd, buf)
		switch {
		case n > 0:
			return n, nil
		case n == 0 && err == nil:
			return 0, os.ErrClosed
		case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR):
			return 0, os.NewSyscallError("read", err)
		}
		left := time.Until(deadline)
		if left <= 0 {
			return 0, os.ErrDeadlineExceeded
		}
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
			return 0, os.NewSyscallError("poll", err)
		}
	}
}
