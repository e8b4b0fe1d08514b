package daemon

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// modulePath is where the programs are found.
const modulePath = "bitbucket.org/PinIdea/go-zero-downtime-daemon"

// Build compiles a program of this module, given by its folder ("examples/mixed"),
// into out. version, if not "", becomes its main.version. The working directory
// must be inside the module. Under the race detector the program has it too. tags are
// build tags.
func Build(ctx context.Context, out, folder, version string, tags ...string) error {
	args := []string{"build", "-o", out, "-tags", strings.Join(tags, ",")}
	if raceEnabled {
		args = append(args, "-race")
	}
	if version != "" {
		args = append(args, "-ldflags", "-X main.version="+version)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, modulePath+"/"+folder)...)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", folder, err, output)
	}
	return nil
}

// Install puts a copy of the program at src in the place of dst by a rename, so
// that dst is at every moment one whole binary, also while it runs.
func Install(src, dst string) error {
	// What another goroutine starts meanwhile would have the file open for writing until it
	// runs its own program, and dst could not be started: "text file busy".
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	tmp, err := os.CreateTemp(filepath.Dir(dst), ".install-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	if err := copyTo(tmp, src); err != nil {
		return fmt.Errorf("install %s: %w", dst, err)
	}
	return os.Rename(tmp.Name(), dst)
}

func copyTo(dst *os.File, src string) error {
	defer func() { _ = dst.Close() }()
	from, err := os.Open(src)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	if _, err := io.Copy(dst, from); err != nil {
		return err
	}
	if err := dst.Chmod(0o755); err != nil {
		return err
	}
	return dst.Close()
}
