package watched

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

const (
	deploy = "../../../examples/deploy/container"
	nobody = 65534
)

// dockerfile is what this test can do of the image's steps without an engine.
type dockerfile struct {
	builds     [][]string // arguments of "go build", without those that say where to
	entrypoint []string
	health     []string
}

func readDockerfile(t *testing.T) *dockerfile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, "Dockerfile"))
	must(t, err)
	f := new(dockerfile)
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		if rest, ok := strings.CutPrefix(line, "ENTRYPOINT "); ok {
			must(t, json.Unmarshal([]byte(rest), &f.entrypoint))
		}
		if rest, ok := strings.CutPrefix(line, "HEALTHCHECK CMD "); ok {
			must(t, json.Unmarshal([]byte(rest), &f.health))
		}
		if rest, ok := strings.CutPrefix(line, "RUN CGO_ENABLED=0 "); ok {
			for step := range strings.SplitSeq(rest, "&&") {
				args := strings.Fields(strings.TrimPrefix(strings.TrimSpace(step), "CGO_ENABLED=0 "))
				if args[0] == "go" {
					f.builds = append(f.builds, args)
				}
			}
		}
	}
	if len(f.builds) != 2 || len(f.entrypoint) == 0 || len(f.health) == 0 {
		t.Fatalf("the Dockerfile is not as this test knows it: %+v", f)
	}
	return f
}

// TestImage makes the image's file system by the steps of the Dockerfile, and runs it as an engine would: as PID 1, as a
// user without rights, with nothing else in it.
func TestImage(t *testing.T) {
	for name, runtime := range map[string]struct {
		owner int
		mode  os.FileMode
	}{"of the image": {nobody, 0o755}, "emptyDir": {0, 0o777}} {
		t.Run(name, func(t *testing.T) { testImage(t, runtime.owner, runtime.mode) })
	}
}

// testImage has a runtime directory of that owner.
func testImage(t *testing.T, owner int, mode os.FileMode) {
	t.Helper()
	if os.Getuid() != 0 {
		require.Missing(t, "chroot needs root")
	}
	unshare := require.Tool(t, "unshare", "package util-linux")
	chroot := require.Tool(t, "chroot", "package coreutils")
	f := readDockerfile(t)
	root, err := os.MkdirTemp("", "gozd-image-") //nolint:usetesting // another user has to get there
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	must(t, os.Chmod(root, 0o755))
	for _, dir := range []string{"usr/local/bin", "run/app", "etc/app", "proc"} {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	must(t, os.Chown(filepath.Join(root, "run/app"), owner, owner))
	must(t, os.Chmod(filepath.Join(root, "run/app"), mode))
	for _, args := range f.builds {
		for i, arg := range args {
			args[i] = strings.Replace(arg, "/out/", filepath.Join(root, "usr/local/bin")+"/", 1)
		}
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.Env = "../../..", append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	conf, err := os.ReadFile(filepath.Join(deploy, "app.conf"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(root, "etc/app/app.conf"), conf, 0o644))

	user := strconv.Itoa(nobody) + ":" + strconv.Itoa(nobody)
	cmd := exec.Command(unshare, append([]string{
		"--pid", "--fork", "--kill-child", "--mount-proc=" + filepath.Join(root, "proc"),
		chroot, "--userspec=" + user, "--groups=", root,
	}, f.entrypoint...)...)
	cmd.Env = []string{"GOZD_WEB_LISTEN=127.0.0.1:0"}
	must(t, cmd.Start())
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	c := &container{Daemon: &daemon.Daemon{PIDFile: filepath.Join(root, "run/app/app.pid")}, t: t, cmd: cmd}
	await(t, "serving", func() bool { return c.generation() == 1 })
	children, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "task", strconv.Itoa(cmd.Process.Pid), "children"))
	must(t, err)
	c.init, err = strconv.Atoi(strings.TrimSpace(string(children)))
	must(t, err)

	for n := 1; n <= 2; n++ {
		if body, err := get(c.Daemon, "/healthz"); err != nil || body != "ok\n" {
			t.Errorf("generation %d: the health route says %q, %v", n, body, err)
		}
		c.exec(append([]string{"chroot", "--userspec=" + user, root}, f.health...)...)
		c.exec("chroot", "--userspec="+user, root, "/usr/local/bin/gozdctl", "upgrade", "/run/app/app.pid")
		if got := c.generation(); got != n+1 {
			t.Errorf("generation %d serves, want %d", got, n+1)
		}
	}
	state, err := process.ReadState(c.PIDFile)
	must(t, err)
	if state.Binary != f.entrypoint[0] {
		t.Errorf("it runs %s", state.Binary)
	}
	c.wantStopped(syscall.SIGTERM)
	manifest, err := os.ReadFile(filepath.Join(deploy, "kubernetes.yaml"))
	must(t, err)
	if probe := "{command: [" + strings.Join(f.health, ", ") + "]}"; strings.Count(string(manifest), probe) != 2 {
		t.Errorf("the manifest's probes are not the image's own, %s", probe)
	}
}
