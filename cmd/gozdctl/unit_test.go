package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

const deployed = "../../examples/deploy"

// readFile returns a file that is there.
func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// unitFor is the unit for a configuration at /etc/app/app.conf.
func unitFor(t *testing.T, text string, o unitOptions) (unit string, notes []string, err error) {
	t.Helper()
	if o.program == "" {
		o.program = "/usr/local/bin/app"
	}
	o.gozdctl = "/usr/local/bin/gozdctl"
	file := "/etc/app/app.conf"
	if o.user {
		o.home, o.program, file = "/home/me", "/home/me/.local/bin/app", "/home/me/.config/app/app.conf"
	}
	conf, err := config.Parse(file, []byte(text), config.Options{Program: nobody, AnySocket: true, Environ: []string{}})
	require.NoError(t, err)
	return unitText(conf, &o)
}

// The units of examples/deploy are what is printed for the configuration beside them.
func TestUnitsOfTheExamples(t *testing.T) {
	conf := readFile(t, deployed+"/systemd/app.conf")
	for name, tt := range map[string]struct {
		conf string
		o    unitOptions
	}{
		"app.service":          {conf, unitOptions{}},
		"app-hardened.service": {conf, unitOptions{hardened: true}},
		"app-user.service":     {web, unitOptions{user: true}},
	} {
		t.Run(name, func(t *testing.T) {
			got, notes, err := unitFor(t, tt.conf, tt.o)
			if err != nil || len(notes) > 0 {
				t.Fatal(notes, err)
			}
			golden(t, "../"+deployed+"/systemd/"+name, got)
		})
	}
	// A drop-in says the same as the unit for a configuration that needs it.
	got, _, err := unitFor(t, strings.Replace(conf, "[gozd]\n", "[gozd]\nfdstore yes\n", 1), unitOptions{})
	require.NoError(t, err)
	wantLines(t, got, settings(readFile(t, deployed+"/systemd/fdstore.conf"))...)
}

const web = "[web]\nmode http\nlisten :8080\n"

// settings are the lines of a unit that are no comments and no sections.
func settings(unit string) (lines []string) {
	for line := range strings.Lines(unit) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "[") {
			lines = append(lines, line)
		}
	}
	return lines
}

func wantLines(t *testing.T, unit string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !slices.Contains(settings(unit), line) {
			t.Errorf("it has no line %s:\n%s", line, unit)
		}
	}
}

func TestUnit(t *testing.T) {
	tests := []struct {
		name   string
		conf   string
		o      unitOptions
		want   []string // lines
		absent string   // settings, by a regular expression
		notes  string   // a part of them
	}{
		{"default PID file", web, unitOptions{}, []string{"ExecReload=/usr/local/bin/gozdctl upgrade --no-wait-drain /run/app.pid"}, "Directory", ""},
		{
			"directories", "[gozd]\npidfile /run/a/b/x.pid\nlog /var/log/b/x.log\n" + web,
			unitOptions{},
			[]string{"RuntimeDirectory=a/b", "LogsDirectory=b"},
			"^User", "",
		},
		{"elsewhere", "[gozd]\npidfile /srv/x.pid\nlog /srv/log\n" + web, unitOptions{}, nil, "Directory", ""},
		{
			"user", "[gozd]\nuser web\nlog /var/log/b/x.log\n" + web,
			unitOptions{},
			[]string{"ExecReload=/usr/local/bin/gozdctl upgrade --no-wait-drain /run/app/app.pid"},
			"Directory|^User", "",
		},
		{
			"relative", "[gozd]\npidfile run/x.pid\n" + web,
			unitOptions{},
			[]string{"ExecReload=/usr/local/bin/gozdctl upgrade --no-wait-drain /etc/app/run/x.pid"},
			"Directory", "",
		},
		{
			"times", "[gozd]\nupgrade_timeout 2m\nprobation 500ms\n" + web + "stop_timeout 30s\n",
			unitOptions{},
			[]string{"TimeoutStartSec=171", "TimeoutStopSec=50"},
			"", "",
		},
		{
			"fdstore", "[gozd]\nfdstore yes\n" + web,
			unitOptions{},
			[]string{"FileDescriptorStoreMax=64"},
			"RuntimeDirectory", "",
		},
		{
			"a socket", "[web]\nmode http\n",
			unitOptions{},
			[]string{"Sockets=app.socket"},
			"", "[web] has no listen: only app.socket can say where it listens",
		},
		{
			"sockets", "[web]\nmode http\n[api]\nmode http\n" + strings.ReplaceAll(web, "web", "own"),
			unitOptions{},
			[]string{"Sockets=app-web.socket app-api.socket"},
			"", "FileDescriptorName=api",
		},
		{
			"arguments", web,
			unitOptions{args: []string{"serve", "50%", "$x y", `"`}},
			[]string{`ExecStart=/usr/local/bin/app serve 50%% "$$x y" "\""`},
			"", "the arguments given",
		},
		{"all arguments", web, unitOptions{args: []string{"-f", "-v", "-c", "/etc/app/app.conf"}}, nil, "", ""},
		{
			"a log of a hardened one", "[gozd]\npidfile /run/app/app.pid\nlog /var/log/app/x.log\nenv_file x.env\n" + web,
			unitOptions{hardened: true},
			[]string{"RuntimeDirectory=app", "LogsDirectory=app", "DynamicUser=yes"},
			"", "env_file must be readable",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			unit, notes, err := unitFor(t, tt.conf, tt.o)
			require.NoError(t, err)
			wantLines(t, unit, tt.want...)
			if tt.absent != "" && slices.ContainsFunc(settings(unit), regexp.MustCompile(tt.absent).MatchString) {
				t.Errorf("it has a line with %s:\n%s", tt.absent, unit)
			}
			if text := strings.Join(notes, "\n"); !strings.Contains(text, tt.notes) || tt.notes == "" && text != "" {
				t.Errorf("it notes %q, want %q", text, tt.notes)
			}
		})
	}
}

// What cannot be a unit is refused, with all reasons.
func TestNoUnit(t *testing.T) {
	for _, tt := range []struct {
		conf string
		o    unitOptions
		want string
	}{
		{"[gozd]\nsupervise no\n" + web, unitOptions{}, "supervise no: "},
		{"[gozd]\nuser web\n" + web, unitOptions{user: true}, "user and group in [gozd]: "},
		{web, unitOptions{program: "/usr/bin/a b"}, `"a b" cannot be the name of a unit`},
		{web, unitOptions{hardened: true}, "pidfile /run/app.pid: a hardened unit"},
		{"[gozd]\npidfile /run/app/x.pid\nlog /srv/x.log\n" + web, unitOptions{hardened: true}, "log /srv/x.log: a hardened unit"},
		{"[gozd]\npidfile /run/app/x.pid\n[web]\nmode http\nlisten /run/x.sock\n", unitOptions{hardened: true}, "[web]: listen /run/x.sock: a hardened unit"},
	} {
		if _, _, err := unitFor(t, tt.conf, tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
}

func TestUnitCommand(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "app.conf")
	write(t, file, web)
	t.Setenv("GOZD_WEB_LISTEN", "/nowhere") // of this shell, and not of the unit
	status, stdout, stderr := ctl(t, "unit", "-c", file, "--", "/usr/bin/app")
	if status != statusOK || stderr != "" || !strings.Contains(stdout, "\nExecStart=/usr/bin/app -f -c "+file+"\n") {
		t.Errorf("status %d, %q, %s", status, stderr, stdout)
	}
	const usage = "it takes -c CONFIG, two dashes and then the program"
	for want, args := range map[string][]string{
		usage:                             {"-c", file},
		usage + ": ":                      {"--", "/usr/bin/app"},
		usage + ": gozdctl":               {"-c", file, "/usr/bin/app"},
		"bin/app: systemd has no":         {"-c", file, "--", "bin/app"},
		"app.conf: systemd has no":        {"-c", "app.conf", "--", "/usr/bin/app"},
		"--hardened does not go with":     {"--user", "--hardened", "-c", file, "--", "/usr/bin/app"},
		"unknown shorthand flag: 'x' in ": {"-x"},
	} {
		if status, stdout, stderr := ctl(t, append([]string{"unit"}, args...)...); status != statusUsage || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%v: status %d, %q, %q, want %q", args, status, stdout, stderr, want)
		}
	}
	write(t, file, "[web]\nmode htp\nlisten :80\n")
	if status, _, stderr := ctl(t, "unit", "-c", file, "--", "/usr/bin/app"); status != statusFailed || !strings.Contains(stderr, `app.conf:2: [web]: unknown mode "htp"`) {
		t.Errorf("status %d, %q", status, stderr)
	}
}

// TestUnitsAreVerified has systemd read each kind of unit.
func TestUnitsAreVerified(t *testing.T) {
	analyze := require.Tool(t, "systemd-analyze", "package systemd")
	for name, tt := range map[string]struct {
		conf string
		o    unitOptions
	}{
		"system":   {"[gozd]\nfdstore yes\npidfile /run/a b/app.pid\nlog /var/log/app/x\n" + web, unitOptions{args: []string{"$x", "a b"}}},
		"becomes":  {"[gozd]\nuser nobody\n" + web, unitOptions{}},
		"hardened": {"[gozd]\npidfile /run/app/app.pid\n" + web, unitOptions{hardened: true}},
		"user":     {web, unitOptions{user: true}},
	} {
		t.Run(name, func(t *testing.T) {
			unit, _, err := unitFor(t, tt.conf, tt.o)
			require.NoError(t, err)
			path := filepath.Join(t.TempDir(), "app.service")
			// It looks for the programs, which are not there.
			write(t, path, regexp.MustCompile(`(?m)^(Exec\w+=)\S+`).ReplaceAllString(unit, "${1}/bin/true"))
			args := []string{"verify", "--man=no", path}
			if tt.o.user {
				args = append([]string{"--user"}, args...)
				t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
			}
			if out, err := exec.CommandContext(t.Context(), analyze, args...).CombinedOutput(); err != nil || strings.Contains(string(out), path) {
				t.Errorf("%v: %s\n%s", err, out, unit)
			}
		})
	}
}

// Every file of examples/deploy that the docs show is shown word for word.
func TestDocsShowTheExamples(t *testing.T) {
	shown := make(map[string]string)
	blocks := regexp.MustCompile("(?s)\n```[a-z]*\n(.*?)```\n")
	for _, doc := range []string{"../../README.md", "../../docs/hosting.md"} {
		for _, block := range blocks.FindAllStringSubmatch(readFile(t, doc), -1) {
			shown[block[1]] = doc
		}
	}
	for file, doc := range map[string]string{
		"systemd/app.conf": "README.md", "systemd/app.service": "README.md",
		"runit/run": "hosting.md", "supervisord/app.conf": "hosting.md",
	} {
		text := readFile(t, filepath.Join(deployed, file))
		if !strings.HasSuffix(shown[text], doc) {
			t.Errorf("%s does not show %s as it is", doc, file)
		}
		delete(shown, text)
	}
	for text, doc := range shown {
		if strings.Contains(text, "[Service]") || strings.Contains(text, "#!/bin/sh") || strings.Contains(text, "[program:") {
			t.Errorf("%s shows what is no file of examples/deploy:\n%s", doc, text)
		}
	}
}
