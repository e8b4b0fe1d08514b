//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// Somebody types in a bash that has no bash-completion package, with Tab where letters are missing.
func TestCompletionInBash(t *testing.T) {
	require.Tool(t, "bash", "package bash")
	require.Tool(t, "script", "package bsdutils")
	build(t)
	dir := t.TempDir()
	conf := "[gozd]\npidfile app.pid\nlog its.log\n[web]\nmode http\nlisten 127.0.0.1:0\n"
	write(t, filepath.Join(dir, "a file.conf"), conf)
	write(t, filepath.Join(dir, "other.conf"), conf)
	write(t, filepath.Join(dir, "other.text"), "")
	for typed, want := range map[string]string{
		"gozdctl vers\t":                        "gozdctl (devel), go",
		"gozdctl logs --pa\t -c oth\t":          dir + "/its.log",
		"gozdctl logs --path -c a\t":            dir + "/its.log",
		"gozdctl logs --path --config=ot\t":     dir + "/its.log",
		"gozdctl check ./ot\t":                  dir + "/other.conf: the configuration is good",
		"gozdctl is-act\tmissing.pid":           "inactive",
		"cd / && gozdctl check " + dir + "/a\t": dir + "/a file.conf: the configuration is good",
	} {
		cmd := exec.CommandContext(t.Context(), "script", "-qc", "bash --norc --noprofile -i", "/dev/null")
		cmd.Dir = dir
		cmd.Env = append(cmd.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), "TERM=dumb", "GORACE=atexit_sleep_ms=0")
		cmd.Stdin = strings.NewReader("PS1=\nsource <(gozdctl completion bash)\n" + typed + "\nexit\n")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) || strings.Contains(string(out), "command not found") {
			t.Errorf("%q: %v, it prints %q, want %q", typed, err, out, want)
		}
	}
}
