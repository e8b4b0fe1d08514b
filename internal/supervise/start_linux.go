package supervise

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// channelEnv is the mark in the environment of generation 1: which descriptors are the channel and the answers. It is removed as soon as it
// has been seen.
const channelEnv = "GOZD_SUPERVISED"

// channelMark is that mark as it was when this process was started.
var channelMark = early.NoteMark(channelEnv)

// startFirst starts generation 1, with the generations' ends of the channel and of the answers.
func (s *supervisor) startFirst(opts Options, channel, answers *os.File, door *door) error {
	streams, theirs, err := s.streams.open(s.becomes)
	defer closeAll(theirs)
	if err != nil {
		return fmt.Errorf("supervise: start generation 1: %w", err)
	}
	files := append(streams, opts.Files...)
	env := append(without(os.Environ(), childless...), opts.Env...)
	env = append(env, fmt.Sprintf("%s=%d,%d", channelEnv, len(files), len(files)+1))
	if door != nil {
		env = append(env, notifyEnv+"="+door.path)
	}
	// In root's session a process of the user's could type on root's terminal, as if it were root (TIOCSTI), have this process get no
	// processor (/proc/PID/autogroup is the session's), and continue it when it is stopped.
	attr := &syscall.ProcAttr{Dir: opts.Dir, Env: env, Sys: &syscall.SysProcAttr{Setsid: s.becomes}}
	for _, f := range append(files, channel, answers) {
		fd, err := fdpass.Number(f)
		if err != nil {
			return fmt.Errorf("supervise: start generation 1: %w", err)
		}
		attr.Files = append(attr.Files, uintptr(fd))
	}
	var pid int
	fork := func() (err error) {
		pid, err = syscall.ForkExec(opts.Binary, append([]string{opts.Binary}, opts.Args...), attr)
		return err
	}
	if s.becomes {
		err = process.StartForUser(fork)
	} else {
		err = fork()
	}
	if err != nil {
		return fmt.Errorf("supervise: start generation 1: %w", err)
	}
	start, _ := process.StartTime(pid) // it may have ended; where it cannot be seen, it will learn that when it asks
	w, err := holdProcess(pid)         // it is our child, and cannot have been collected
	if err != nil {
		_ = unix.Kill(pid, unix.SIGKILL)
		return fmt.Errorf("supervise: start generation 1: %w", err)
	}
	s.processes.hold(&generation{PID: pid, StartTime: start, Number: 1, Phase: isSpawned, User: unknownUser}, w)
	return nil
}

// canWatch returns why no process can be watched here: /proc is not there, in a chroot, or the kernel is too old. Such a supervisor
// could neither pass signals on nor learn of a generation's end.
func canWatch() error {
	start, err := process.StartTime(os.Getpid())
	var w *watched
	if err == nil {
		w, err = openProcess(os.Getpid(), start)
	}
	if err != nil {
		return fmt.Errorf("supervise: this process could not watch the daemon's; with \"supervise no\" there is no supervisor: %w", err)
	}
	return w.file.Close()
}

// without returns an environment that lacks the variables of these names.
func without(env []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(names, name)
	})
}

// IsSupervised reports whether this process is a generation 1 that a supervisor has started. It says so until
// Inherited is called.
func IsSupervised() bool { return channelMark.Text() != "" }

// Inherited returns generation 1's end of the channel where a supervisor has started this process, and nil
// otherwise. Call it once, before any process is started: it removes the mark from the environment.
func Inherited() (*Client, error) {
	text := channelMark.Take()
	if text == "" {
		return nil, nil
	}
	first, second, _ := strings.Cut(text, ",")
	fd, err := strconv.Atoi(first)
	answers, err2 := strconv.Atoi(second)
	if err != nil || err2 != nil || fd <= 2 || answers <= 2 || !isSocket(fd) || !isPipe(answers) {
		return nil, fmt.Errorf("supervise: %s is %q, and that is no socket: another daemon has passed on its environment", channelEnv, text)
	}
	fdpass.CloseOnExec(fd)
	fdpass.CloseOnExec(answers)
	return NewClient(os.NewFile(uintptr(fd), "supervisor"), os.NewFile(uintptr(answers), "answers"))
}

// hasChannel reports whether this process has a socket that its parent has made for its generations, and no mark that says so:
// the program has removed that before gozd could see it. Such a process must not supervise another like it, without end.
func hasChannel() bool {
	descriptors, _ := os.ReadDir("/proc/self/fd") // its own, which are few at the start; without it the mark has to do
	for _, d := range descriptors {
		fd, err := strconv.Atoi(d.Name())
		if err != nil || !isSocket(fd) {
			continue
		}
		kind, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
		maker, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil && kind == unix.SOCK_SEQPACKET && int(maker.Pid) == os.Getppid() {
			return true
		}
	}
	return false
}

func isSocket(fd int) bool { return isOf(fd, unix.S_IFSOCK) }

func isPipe(fd int) bool { return isOf(fd, unix.S_IFIFO) }

func isOf(fd int, kind uint32) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == kind
}
