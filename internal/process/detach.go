package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// detachedEnv tells a process that it was started by [Detach], and on which
// descriptor its starter listens.
const detachedEnv = early.DetachedEnv

// detachedFD is the first of exec.Cmd.ExtraFiles.
const detachedFD = 3

// arguments are those that this process was started with. A program may change os.Args, as one does that takes a command off it
// before it has the rest parsed.
var arguments = slices.Clone(os.Args)

// Arguments returns the command line that this process was started with, whatever the program has made of os.Args.
func Arguments() []string { return slices.Clone(arguments) }

// starterMark is detachedEnv as it was when this process was started.
var starterMark = early.NoteMark(detachedEnv)

// detached says whether this process was started by Detach. It stays so when the mark has been removed.
var detached = starterMark.Text() == strconv.Itoa(detachedFD) && isPipe(detachedFD)

// StartDir is the working directory that this process was started in, "" if it could
// not be found out. The program may be elsewhere by the time it calls gozd.
var StartDir, _ = os.Getwd()

// Detach starts this program again with the same arguments, where this one was
// started, in a session of its own, with /dev/null for its standard streams and without any other descriptor that this
// process has inherited, and waits until it is ready or has failed. It returns the new process's PID, or the
// reason in its own words. binary is the program's absolute path. becomes, if not nil, is the user that it is to become. log, if it is not empty, is the file for what the process
// has written to its standard error and cannot write there itself, having ended. more, if non-nil, returns more files for the
// new process, of which the first gets the descriptor that it is called with, and variables.
func Detach(binary, log string, becomes *Identity, more func(first int) (files []*os.File, env []string)) (pid int, err error) {
	reports, notify, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer func() { _ = reports.Close() }()
	cmd := exec.Command(binary)
	cmd.Args = append([]string{binary}, Arguments()[1:]...)
	cmd.Dir = StartDir
	cmd.Env = append(os.Environ(), detachedEnv+"="+strconv.Itoa(detachedFD), Decided(becomes))
	cmd.ExtraFiles = []*os.File{notify}
	wrote, err := Scratch()
	if err == nil { // without it the error has less to say
		defer func() { _ = wrote.Close() }()
		cmd.ExtraFiles = append(cmd.ExtraFiles, wrote) // where internal/early looks for it
	}
	if more != nil {
		files, env := more(detachedFD + len(cmd.ExtraFiles))
		cmd.ExtraFiles, cmd.Env = append(cmd.ExtraFiles, files...), append(cmd.Env, env...)
	}
	cmd.SysProcAttr = newSession()
	CloseAllOnExec() // or a pipe that a shell has open, for instance, would not end before the daemon
	if becomes.gives() {
		err = StartForUser(cmd.Start)
	} else {
		err = cmd.Start()
	}
	_ = notify.Close()
	if err != nil {
		return 0, err
	}
	out := report.Read(reports)
	if out.Ready {
		pid = cmd.Process.Pid // Release forgets it
		return pid, cmd.Process.Release()
	}
	ended := cmd.Wait()
	return 0, startFailure(out, ended, takeWords(wrote, log, becomes))
}

// takeWords returns the end of what a process that has ended without being ready wrote to its standard error, which the log gets
// too, if the process has made it. It may have become another user's, and so may the log: the text is believed in nothing.
func takeWords(wrote *os.File, log string, becomes *Identity) string {
	if wrote == nil {
		return ""
	}
	text := Tail(wrote, 0, report.MaxStderr)
	if _, err := safepath.Lstat(log); err != nil || text == "" {
		return text
	}
	uid := -1
	if becomes.gives() {
		uid = becomes.UID
	}
	if f, err := openLogFile(log, uid, 0o640); err == nil {
		_, _ = f.WriteString(text)
		_ = f.Close()
	}
	return text
}

// startFailure prefers the process's own words to how it ended.
func startFailure(out report.Outcome, ended error, wrote string) error {
	if out.Error != "" {
		return errors.New(out.Error)
	}
	err := errors.New("the daemon ended before it was ready: exit status 0")
	if ended != nil {
		err = fmt.Errorf("the daemon ended before it was ready: %w", ended)
	}
	return report.Explain(err, wrote)
}

// IsDetached reports whether this process was started by [Detach].
func IsDetached() bool { return detached }

// Detached returns the pipe to the starter where this process was started by
// [Detach], and nil otherwise. Call it once, before any process is started: it
// removes the mark from the environment.
func Detached() *report.Writer {
	f, _ := Starter()
	if f == nil {
		return nil
	}
	return report.NewWriter(f)
}

// StarterStderr returns the file that the starter has for this process's standard error, for a process that has another one
// report in its place, next to the pipe; nil for none.
func StarterStderr() *os.File {
	fd := early.StderrFile()
	if fd < 0 {
		return nil
	}
	return os.NewFile(uintptr(fd), "standard error")
}

// Starter is Detached for a process that has another one, with this pipe as its
// descriptor 3 and mark in its environment, report in its place. f is nil where nobody listens.
func Starter() (f *os.File, mark string) {
	text := starterMark.Take()
	if text != strconv.Itoa(detachedFD) || !isPipe(detachedFD) {
		return nil, "" // not ours
	}
	fdpass.CloseOnExec(detachedFD)
	return os.NewFile(detachedFD, "starter"), detachedEnv + "=" + text
}
