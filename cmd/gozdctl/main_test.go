package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files and the scripts' expectations anew")

// ctl runs gozdctl.
func ctl(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), args, &out, &errs)
	return status, out.String(), errs.String()
}

// golden compares text to a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		write(t, path, got)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("it is\n%s\nwant (-update writes %s anew)\n%s", got, path, want)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// What makes no sense is status 2, says why, and where to read on; nothing is tried.
func TestUsage(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string // of standard error
	}{
		{"nothing", nil, "gozdctl: it takes a command\n"},
		{"unknown command", []string{"frobnicate"}, "gozdctl: unknown command \"frobnicate\"\ngozdctl: see gozdctl --help\n"},
		{"misspelt command", []string{"upgrad"}, "gozdctl: unknown command \"upgrad\": did you mean upgrade?\n"},
		{"unknown flag", []string{"stop", "--now", "a"}, "gozdctl: stop: unknown flag: --now\ngozdctl: see gozdctl stop --help\n"},
		{"upgrade what", []string{"upgrade"}, "gozdctl: upgrade: it takes a PID file, or a configuration with -c\n"},
		{"alias", []string{"reload"}, "gozdctl: reload: it takes a PID file, or a configuration with -c\n"},
		{"status of two", []string{"status", "a", "b"}, "gozdctl: status: it takes one PID file, and got 2 arguments\n"},
		{"both", []string{"stop", "a", "-c", "b"}, "gozdctl: stop: it takes a PID file or -c, and got both\n"},
		{"whose program", []string{"stop", "a", "--program", "b"}, "gozdctl: stop: --program needs -c\n"},
		{"logs twice", []string{"logs", "-f", "--path", "a"}, "gozdctl: logs: --path does not go with -f\n"},
		{"logs of less", []string{"logs", "-n", "-1", "a"}, "gozdctl: logs: invalid argument \"-1\" for \"-n, --lines\" flag"},
		{"check what", []string{"check"}, "gozdctl: check: it takes one configuration file\n"},
		{"check two", []string{"check", "-c", "a", "b"}, "gozdctl: check: it takes one configuration file\n"},
		{"start without dashes", []string{"start", "app"}, "gozdctl: start: write the program and its arguments after two dashes: gozdctl start -- PROGRAM ARGUMENTS\n"},
		{"start of nothing", []string{"start", "--"}, "gozdctl: start: write the program and its arguments after two dashes: gozdctl start -- PROGRAM ARGUMENTS\n"},
		{"restart of what", []string{"restart", "app.pid"}, "gozdctl: restart: write the program and its arguments after two dashes: gozdctl restart -- PROGRAM ARGUMENTS; to replace the binary of a daemon that runs, without loss: gozdctl upgrade PIDFILE\n"},
		{"what is active", []string{"is-active"}, "gozdctl: is-active: it takes a PID file, or a configuration with -c\n"},
		{"completion of what", []string{"completion"}, "gozdctl: completion: it takes one shell: bash, zsh, fish\n"},
		{"completion of another", []string{"completion", "csh"}, "gozdctl: completion: unknown shell \"csh\": it takes bash, zsh, fish\n"},
		{"version of what", []string{"version", "a"}, "gozdctl: version: it takes no arguments, and got a\n"},
		{"man where", []string{"man", "a"}, "gozdctl: man: it takes a directory, and docs/configuration.md for app.conf(5)\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, stdout, stderr := ctl(t, test.args...)
			if status != statusUsage || stdout != "" || !strings.Contains(stderr, test.want) {
				t.Errorf("status %d, %q, %q, want %d and %q", status, stdout, stderr, statusUsage, test.want)
			}
		})
	}
}

// Whoever looks for why a daemon has ended is told how to find what it wrote.
func TestLogsOfOneThatHasEnded(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "app.pid")
	status, stdout, stderr := ctl(t, "logs", pidfile)
	want := "gozdctl: logs: " + pidfile + ": not running (no PID file)\n" +
		"gozdctl: the log of a daemon that has ended is found by its configuration: gozdctl logs -c CONFIG\n"
	if status != statusNotRunning || stdout != "" || stderr != want {
		t.Errorf("status %d, %q, %q, want %d and %q", status, stdout, stderr, statusNotRunning, want)
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"-h"}, {"--help"}} {
		status, stdout, stderr := ctl(t, args...)
		if status != statusOK || stderr != "" || !strings.Contains(stdout, "Usage:\n  gozdctl COMMAND\n\nCommands that act on the daemon:") {
			t.Errorf("%v: status %d, %q, %q", args, status, stdout, stderr)
		}
	}
	status, stdout, _ := ctl(t, "help", "exit-status")
	if status != statusOK || !strings.HasPrefix(stdout, aboutExitStatus) {
		t.Errorf("help exit-status: status %d, %q", status, stdout)
	}
}

// Every command says in its help what it does, and takes --json where it has an outcome.
func TestEveryCommandIsDescribed(t *testing.T) {
	a := newApp(newScreen(new(bytes.Buffer), os.Getenv), newScreen(new(bytes.Buffer), os.Getenv))
	for _, cmd := range rootCommand(a).Commands() {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short help %q", cmd.Name(), cmd.Short)
		}
		if (cmd.GroupID == groupAct || cmd.GroupID == groupShow) && cmd.Flags().Lookup("json") == nil {
			t.Errorf("%s has no --json", cmd.Name())
		}
	}
}

// brokenPipe is standard output when nobody reads it any more.
type brokenPipe struct{}

var errBroken = errors.New("broken pipe")

func (brokenPipe) Write([]byte) (int, error) { return 0, errBroken }

func TestNothingCanBePrinted(t *testing.T) {
	var stderr bytes.Buffer
	if status := run(t.Context(), []string{"version"}, brokenPipe{}, &stderr); status != statusFailed {
		t.Errorf("status %d, want %d", status, statusFailed)
	}
	if want := "gozdctl: version: standard output: broken pipe\n"; stderr.String() != want {
		t.Errorf("it complains %q, want %q", stderr.String(), want)
	}
}

func TestCompletion(t *testing.T) {
	for shell, want := range map[string]string{"bash": "__start_gozdctl", "zsh": "#compdef gozdctl", "fish": "complete -c gozdctl"} {
		status, stdout, stderr := ctl(t, "completion", shell)
		if status != statusOK || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("%s: status %d, %d bytes, %q, want %q", shell, status, len(stdout), stderr, want)
		}
	}
	// What a shell's script asks for: commands, and the files that an argument can be.
	_, commands, _ := ctl(t, "__complete", "")
	_, files, _ := ctl(t, "__complete", "upgrade", "")
	if !strings.Contains(commands, "upgrade\tstart the newest binary") || !strings.HasPrefix(files, "pid\n:8\n") {
		t.Errorf("it completes %q and %q", commands, files)
	}
}

func TestManPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "man")
	// Another user's directory may have links to files of whoever writes.
	victim := filepath.Join(t.TempDir(), "victim")
	for _, err := range []error{os.WriteFile(victim, []byte("his"), 0o600), os.MkdirAll(dir, 0o755), os.Symlink(victim, filepath.Join(dir, "gozdctl.1")), os.Link(victim, filepath.Join(dir, "gozdctl-list.1"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		if text, err := os.ReadFile(victim); string(text) != "his" {
			t.Errorf("what a link led to is %q, %v", text, err)
		}
	}()
	if status, _, stderr := ctl(t, "man", dir, "../../docs/configuration.md"); status != statusOK {
		t.Fatalf("status %d, %q", status, stderr)
	}
	pages := map[string]string{ // and what stands in them
		"gozdctl.1":  "COMMANDS|list the daemons in the runtime directory|FILES|app.conf(5)|EXIT STATUS|usage: the command line|SEE ALSO|gozdctl-upgrade(1)",
		"app.conf.5": "app.conf - configuration|The native format|Keys of a group|required for https|Keys of [gozd]|max_generations|default 16|Environment|Errors",
	}
	for _, verb := range []string{"start", "restart", "stop", "quit", "reopen", "reload-certs", "upgrade", "rollback", "status", "is-active", "list", "check", "logs", "version", "completion", "exit-status"} {
		pages["gozdctl-"+verb+".1"] = "NAME|gozdctl-" + verb + " - |DESCRIPTION"
	}
	for name, want := range pages {
		page := rendered(t, filepath.Join(dir, name))
		for want := range strings.SplitSeq(want, "|") {
			if !strings.Contains(page, want) {
				t.Errorf("%s: there is no %q in\n%s", name, want, page)
			}
		}
		if strings.Contains(page, "](") || strings.Contains(page, "---") {
			t.Errorf("%s has a link or a table in\n%s", name, page)
		}
	}
}

// rendered is the text of a man page as man(1) shows it, or else as well as that can be done without.
func rendered(t *testing.T, path string) string {
	t.Helper()
	if _, err := exec.LookPath("man"); err == nil {
		cmd := exec.CommandContext(t.Context(), "man", "--warnings", "-l", path)
		cmd.Env = append(cmd.Environ(), "MANWIDTH=1000", "LC_ALL=C")
		var complaints strings.Builder
		cmd.Stderr = &complaints
		if text, err := cmd.Output(); err == nil && len(text) > 0 {
			if complaints.Len() > 0 {
				t.Errorf("man -l %s: %s", path, complaints.String())
			}
			return string(text)
		}
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(`\fB`, "", `\fR`, "", `\fP`, "", `\fI`, "", `\-`, "-").Replace(string(page))
}
