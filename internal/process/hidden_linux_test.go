package process_test

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

func init() {
	roles["look for processes that are hidden"] = lookForHidden
	roles["hide"] = hide
}

// hide is a process that nobody may trace, and so one that /proc hides from its own user too.
func hide() {
	must((&process.Identity{UID: nobody, GID: nobody, Groups: []int{nobody}}).Become())
	must(unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
	say("hidden")
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// lookForHidden is PID 1 with a /proc that hides processes, and becomes nobody.
func lookForHidden() {
	must(unix.Mount("proc", "/proc", "proc", 0, "hidepid=invisible"))
	must(os.Setenv(reexec.Env, "hide"))
	self, err := os.Executable()
	must(err)
	cmd := exec.Command(self)
	in, err := cmd.StdinPipe()
	must(err)
	out, err := cmd.StdoutPipe()
	must(err)
	must(cmd.Start())
	_, err = out.Read(make([]byte, 64))
	must(err)
	must((&process.Identity{UID: nobody, GID: nobody, Groups: []int{nobody}}).Become())
	pid := cmd.Process.Pid
	said := map[string]string{"alive": what(pid), "nobody's": what(pid + 1)}
	must(in.Close())
	must(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil))
	said["not collected"] = what(pid)
	must(cmd.Wait())
	said["collected"] = what(pid)
	say(said)
}

// what says what Open makes of a process.
func what(pid int) string {
	p, err := process.Open(pid, 1)
	switch {
	case err == nil:
		p.Close()
		return "seen"
	case errors.Is(err, process.ErrHidden):
		return "hidden"
	case errors.Is(err, os.ErrProcessDone):
		return "gone"
	}
	return err.Error()
}

// A process that /proc hides is not gone.
func TestOpenHidden(t *testing.T) {
	needRoot(t, "mount /proc")
	unshare := require.Tool(t, "unshare", "package util-linux")
	cmd := role(t, "look for processes that are hidden", strconv.Itoa(os.Getpid()))
	cmd.Args = append([]string{unshare, "--mount", "--pid", "--fork", "--kill-child"}, cmd.Args...)
	cmd.Path = unshare
	var said map[string]string
	output(t, cmd, &said)
	want := map[string]string{"alive": "hidden", "nobody's": "gone", "not collected": "gone", "collected": "gone"}
	for name, is := range want {
		if said[name] != is {
			t.Errorf("%s: %s, want %s", name, said[name], is)
		}
	}
}
