package report

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Machine is where a run was, as far as that is known.
type Machine struct {
	Go     string
	Kernel string
	CPUs   string
	Commit string
}

// ThisMachine looks at it. The commit is that of the working directory.
func ThisMachine(ctx context.Context) Machine {
	return Machine{
		Go:     runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
		Kernel: kernel(),
		CPUs:   cpus(),
		Commit: commit(ctx),
	}
}

func kernel() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return "Linux " + strings.TrimSpace(string(release))
}

// cpus is their number, and what they are.
func cpus() string {
	n := strconv.Itoa(runtime.NumCPU())
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return n
	}
	for line := range strings.Lines(string(info)) {
		if key, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return n + " × " + strings.TrimSpace(model)
		}
	}
	return n
}

// commit asks git, since go run does not stamp what it builds.
func commit(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
