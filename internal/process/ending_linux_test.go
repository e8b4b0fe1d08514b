package process_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

func init() { roles["dump core"] = dumpCore }

// dumpCore is a process that dies with a large core.
func dumpCore() {
	var limit unix.Rlimit
	must(unix.Getrlimit(unix.RLIMIT_CORE, &limit))
	limit.Cur = limit.Max
	must(unix.Setrlimit(unix.RLIMIT_CORE, &limit))
	must(os.Chdir(os.Getenv(pathEnv)))
	memory := make([]byte, 256<<20)
	for i := range memory {
		memory[i] = byte(i)
	}
	say(limit.Max > uint64(len(memory)))
	_, _ = os.Stdin.Read(make([]byte, 1))
	panic(len(memory))
}

// A process is seen to be ending while it writes its core: until that is done nobody is told of its death.
func TestIsEnding(t *testing.T) {
	cmd := role(t, "dump core", t.TempDir())
	cmd.Env = append(cmd.Env, "GOTRACEBACK=crash")
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
	said := make([]byte, 16)
	n, err := out.Read(said)
	if err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if process.IsEnding(pid) {
		t.Error("a process that lives is ending")
	}
	_ = in.Close()
	seen := false
	for !seen && !isDead(pid) {
		seen = process.IsEnding(pid)
	}
	_ = cmd.Wait()
	if !seen && string(said[:n]) == "true\n" && cmd.ProcessState.Sys().(interface{ CoreDump() bool }).CoreDump() {
		t.Error("a process that has written a core was not seen to be ending")
	}
	if process.IsEnding(pid) {
		t.Error("a process that is gone is ending")
	}
}

func isDead(pid int) bool {
	_, err := process.StartTime(pid)
	return err != nil
}
