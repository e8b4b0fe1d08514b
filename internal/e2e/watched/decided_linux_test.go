package watched

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// Generation 1 looks at the configuration again. Where that makes it another user by then than whom it has been started for, it has perhaps root's
// terminal, session or keys, or its supervisor would not signal it: it does not serve.
func TestUserChangesDuringTheStart(t *testing.T) {
	require.Root(t)
	bash := require.Tool(t, "bash", "package bash")
	const nobody, daemon = "user 65534\ngroup 65534", "user 1\ngroup 1"
	tests := []struct {
		name, mark, flag, options, first, later, says string
		uid                                           int // by the later one
	}{
		{"supervised", "GOZD_SUPERVISED", "-f", "", "", nobody, "for nobody else, and is now to become user 65534, group 65534: ", 65534},
		{"supervised, to stay", "GOZD_SUPERVISED", "-f", "", nobody, "", "for user 65534, group 65534, and is now to become nobody else: ", 0},
		{"in the background", "GOZD_DETACHED", "-v", "", "", nobody, "for nobody else, and is now to become user 65534, group 65534: ", 65534},
		{"in the background, supervised", "GOZD_SUPERVISED", "-v", "supervise yes", nobody, daemon, "for user 65534, group 65534, and is now to become user 1, group 1: ", 1},
		{"in the background, to be supervised", "GOZD_DETACHED", "-v", "supervise yes", "", nobody, "for nobody else, and is now to become user 65534, group 65534: ", 65534},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.Chmod(filepath.Dir(dir), 0o755)) // TempDir's parent is closed to other users
			must(t, os.Chmod(dir, 0o755))
			must(t, os.Mkdir(filepath.Join(dir, "run"), 0o755))
			must(t, os.Chown(filepath.Join(dir, "run"), test.uid, test.uid))
			conf, app := filepath.Join(dir, "app.conf"), filepath.Join(dir, "app")
			for path, user := range map[string]string{conf: test.first, conf + ".later": test.later} {
				text := fmt.Appendf(nil, "[gozd]\npidfile %s/run/app.pid\n%s\n%s\n[web]\nmode http\nlisten 127.0.0.1:0\n", dir, test.options, user)
				must(t, os.WriteFile(path, text, 0o644))
			}
			// Whoever is started with that mark finds the other configuration.
			script := fmt.Appendf(nil, "#!%s\n[ -z \"$%s\" ] || cp %s.later %s\nexec -a %s %s \"$@\"\n", bash, test.mark, conf, conf, app, binaries.Hello(t))
			must(t, os.WriteFile(app, script, 0o755))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var said bytes.Buffer
			cmd := exec.CommandContext(ctx, app, test.flag, "-c", conf)
			cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = dir, &said, &said, patience
			err := cmd.Run()
			if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("it ended with %v, want status 1", err)
			}
			if want := conf + ": [gozd]: this process has been started " + test.says; !strings.Contains(said.String(), want) {
				t.Errorf("it says %q, want %q", said.String(), want)
			}
			if text, err := os.ReadFile(filepath.Join(dir, "run", "app.pid")); err == nil {
				t.Errorf("process %s has served", text)
				must(t, exec.CommandContext(ctx, app, "-s", "stop", "-c", conf).Run())
			}
		})
	}
}
