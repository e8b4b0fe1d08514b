package config

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// defaultPIDFile returns the path of a PID file that nobody has configured, for a daemon that
// becomes user, and whether its directory is to be the daemon's own.
func defaultPIDFile(opts Options, user string) (path string, ownDir bool) {
	program := opts.Program
	if program == "" && len(os.Args) > 0 {
		program = os.Args[0]
	}
	program = strings.TrimSuffix(filepath.Base(program), ".exe")
	p := platform{goos: runtime.GOOS, euid: os.Geteuid(), environ: opts.Environ}
	if dir := p.systemDir(); user != "" && dir != "" {
		// Root makes it for the user, whose processes find it by the same name.
		return filepath.Join(dir, program, program+".pid"), true
	}
	return filepath.Join(p.runtimeDir(program), program+".pid"), false
}

// PIDFileDir returns the directory where the PID files of this process's user lie by default, or in a directory right below. Where everybody
// can write there, suffix ends the names of those directories; otherwise it is empty.
func PIDFileDir() (dir, suffix string) {
	p := platform{goos: runtime.GOOS, euid: os.Geteuid(), environ: os.Environ()}
	if dir, suffix, ok := strings.Cut(p.runtimeDir("\x00"), "\x00"); ok {
		return filepath.Clean(dir), suffix
	}
	return p.runtimeDir(""), ""
}

// platform is what the runtime directory depends on. It is a type of its own
// so that tests can be somebody else, somewhere else.
type platform struct {
	goos    string
	euid    int
	environ []string
}

// runtimeDir returns the directory for the PID files of program. Only the one
// in the temporary directory belongs to the program alone: others could have
// put anything into the temporary directory itself.
func (p platform) runtimeDir(program string) string {
	if p.euid == 0 {
		return p.systemDir()
	}
	// A relative path is invalid, says the XDG Base Directory Specification,
	// and here it would depend on where the program was started.
	if dir := lookup(p.environ, "XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(p.tempDir(), program+"-"+strconv.Itoa(p.euid))
}

// systemDir is where only root can create files; "" where there is nothing of that kind.
func (p platform) systemDir() string {
	switch p.goos {
	case "linux":
		return "/run"
	case "windows":
		return ""
	}
	return "/var/run"
}

// tempDir is os.TempDir for an environment that need not be the process's own.
func (p platform) tempDir() string {
	if p.goos == "windows" {
		return os.TempDir()
	}
	if dir := lookup(p.environ, "TMPDIR"); filepath.IsAbs(dir) {
		return dir
	}
	return "/tmp"
}

// lookup returns the value of a variable in environ. The last one counts, as
// it does for os/exec.
func lookup(environ []string, name string) string {
	for _, variable := range slices.Backward(environ) {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}
