package config_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

func TestRuntimeDir(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("paths are Unix's")
	}
	tests := []struct {
		name    string
		goos    string
		euid    int
		environ []string
		want    string
	}{
		{"superuser on linux", "linux", 0, []string{"XDG_RUNTIME_DIR=/run/user/0"}, "/run"},
		{"superuser elsewhere", "freebsd", 0, nil, "/var/run"},
		{"user with a runtime directory", "linux", 1000, []string{"XDG_RUNTIME_DIR=/run/user/1000"}, "/run/user/1000"},
		{"last of two", "linux", 1000, []string{"XDG_RUNTIME_DIR=/a", "XDG_RUNTIME_DIR=/b"}, "/b"},
		{"user without", "linux", 1000, nil, "/tmp/app-1000"},
		{"empty", "linux", 1000, []string{"XDG_RUNTIME_DIR="}, "/tmp/app-1000"},
		{"relative, which is invalid", "linux", 1000, []string{"XDG_RUNTIME_DIR=run"}, "/tmp/app-1000"},
		{"other temporary directory", "darwin", 501, []string{"TMPDIR=/var/folders/x/"}, "/var/folders/x/app-501"},
		{"relative temporary directory", "linux", 1000, []string{"TMPDIR=tmp"}, "/tmp/app-1000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := config.RuntimeDir(tt.goos, tt.euid, tt.environ, "app"); got != tt.want {
				t.Errorf("RuntimeDir = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRuntimeDirOnWindows(t *testing.T) {
	got := config.RuntimeDir("windows", -1, nil, "app")
	if want := filepath.Join(os.TempDir(), "app--1"); got != want {
		t.Errorf("RuntimeDir = %q, want %q", got, want)
	}
}

func TestDefaultPIDFile(t *testing.T) {
	environ := []string{"XDG_RUNTIME_DIR=/run/user/1000"}
	self := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	tests := []struct{ name, program, want string }{
		{"name", "app", "app"},
		{"path", "/usr/bin/app", "app"},
		{"windows", "app.exe", "app"},
		{"the program itself", "", self},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Parse("app.conf", []byte(ok), config.Options{Program: tt.program, Environ: environ})
			if err != nil {
				t.Fatal(err)
			}
			dir := config.RuntimeDir(runtime.GOOS, os.Geteuid(), environ, tt.want)
			if want := filepath.Join(dir, tt.want+".pid"); c.Daemon.PIDFile != want {
				t.Errorf("PIDFile = %q, want %q", c.Daemon.PIDFile, want)
			}
		})
	}
}

// TestDefaultPIDFileOfAUser has root, who starts the daemon, and the user that it becomes look in one place.
func TestDefaultPIDFileOfAUser(t *testing.T) {
	tests := []struct {
		name, lines string
		ownDir      bool
	}{
		{"user", "user app", true},
		{"group only", "group app", false},
		{"nobody else", "user \"\"", false},
		{"PID file of the operator's", "user app\npidfile /srv/app.pid", false},
	}
	system := map[string]string{"linux": "/run", "windows": ""}
	dir, known := system[runtime.GOOS]
	if !known {
		dir = "/var/run"
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := config.Options{Program: "app", Environ: []string{"XDG_RUNTIME_DIR=/run/user/1000"}}
			c, err := config.Parse("app.conf", []byte(ok+"[gozd]\n"+tt.lines), opts)
			if err != nil {
				t.Fatal(err)
			}
			ownDir := tt.ownDir && dir != ""
			if c.Daemon.OwnDir != ownDir {
				t.Errorf("OwnDir = %v, want %v", c.Daemon.OwnDir, ownDir)
			}
			if want := dir + "/app/app.pid"; ownDir && c.Daemon.PIDFile != want {
				t.Errorf("PIDFile = %q, want %q", c.Daemon.PIDFile, want)
			}
		})
	}
}
