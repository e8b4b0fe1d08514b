package config_test

import (
	"io/fs"
	"reflect"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

func TestDefaults(t *testing.T) {
	got, err := config.Parse("/etc/app.conf", []byte("[web]\nmode http\nlisten 80"), noEnviron)
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Config{
		File: "/etc/app.conf",
		Daemon: config.Daemon{
			PIDFile:        got.Daemon.PIDFile, // has a test of its own
			LogFormat:      config.LogText,
			Umask:          0o027,
			UpgradeTimeout: time.Minute,
			MaxGenerations: 16,
			Supervise:      config.SuperviseAuto,
		},
		Groups: []config.Group{{
			Name:         "web",
			Mode:         config.HTTP,
			Listen:       config.Address{Network: "tcp", Address: ":80"},
			SocketMode:   0o660,
			DrainTimeout: 15 * time.Minute,
			StopTimeout:  10 * time.Second,
			Line:         1,
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Parse = %+v\nwant    %+v", got, want)
	}
}

func TestNativeKeepsTheOrderOfTheFile(t *testing.T) {
	const data = "[z]\nmode tcp\nlisten 1\n[gozd]\nuser x\n[a]\nmode tcp\nlisten 2\n[m]\nmode tcp\nlisten 3"
	got, err := config.Parse("app.conf", []byte(data), noEnviron)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, g := range got.Groups {
		names = append(names, g.Name)
	}
	if want := []string{"z", "a", "m"}; !reflect.DeepEqual(names, want) {
		t.Errorf("groups are %v, want %v", names, want)
	}
}

func TestConfigGroup(t *testing.T) {
	c, err := config.Parse("app.conf", []byte("[a]\nmode tcp\nlisten 1\n[b]\nmode tcp\nlisten 2"), noEnviron)
	if err != nil {
		t.Fatal(err)
	}
	if g, ok := c.Group("b"); !ok || g != &c.Groups[1] {
		t.Errorf("Group(b) = %v, %v, want a pointer to the second group", g, ok)
	}
	for _, name := range []string{"B", "c", "gozd", ""} {
		if g, ok := c.Group(name); ok || g != nil {
			t.Errorf("Group(%q) = %v, %v, want none", name, g, ok)
		}
	}
}

func TestValues(t *testing.T) {
	tests := []struct {
		name, key, value string
		get              func(*config.Config) any
		want             any
	}{
		{"supervise true", "supervise", "true", supervise, config.SuperviseYes},
		{"supervise false", "supervise", "false", supervise, config.SuperviseNo},
		{"supervise no", "supervise", "no", supervise, config.SuperviseNo},
		{"supervise auto", "supervise", "auto", supervise, config.SuperviseAuto},
		{"fdstore yes", "fdstore", "yes", fdstore, true},
		{"fdstore no", "fdstore", "no", fdstore, false},
		{"fdstore false", "fdstore", "false", fdstore, false},
		{"no probation", "probation", "0s", func(c *config.Config) any { return c.Daemon.Probation }, time.Duration(0)},
		{"fraction", "probation", "1.5h", func(c *config.Config) any { return c.Daemon.Probation }, 90 * time.Minute},
		{"fewest generations", "max_generations", "2", func(c *config.Config) any { return c.Daemon.MaxGenerations }, 2},
		{"fewest files", "max_files", "1", func(c *config.Config) any { return c.Daemon.MaxFiles }, uint64(1)},
		{"empty log", "log", `""`, func(c *config.Config) any { return c.Daemon.Log }, ""},
		{"empty env_file", "env_file", `""`, func(c *config.Config) any { return c.Daemon.EnvFile }, ""},
		{"env_file elsewhere", "env_file", "/run/app.env", func(c *config.Config) any { return c.Daemon.EnvFile }, "/run/app.env"},
		{"log in the directory above", "log", "../app.log", func(c *config.Config) any { return c.Daemon.Log }, "/etc/app.log"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := "[web]\nmode http\nlisten 80\n[gozd]\n" + tt.key + " " + tt.value
			c, err := config.Parse("/etc/app/app.conf", []byte(data), noEnviron)
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.get(c); got != tt.want {
				t.Errorf("%s %s gives %v, want %v", tt.key, tt.value, got, tt.want)
			}
		})
	}
}

func supervise(c *config.Config) any { return c.Daemon.Supervise }

func fdstore(c *config.Config) any { return c.Daemon.FDStore }

func TestSocketOptions(t *testing.T) {
	tests := []struct {
		name, mode, owner string
		wantMode          fs.FileMode
	}{
		{"four digits", "0777", "www", 0o777},
		{"three digits", "640", "www:adm", 0o640},
		{"nobody at all", "0", "33:33", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := "[app]\nmode fcgi\nlisten /run/a\nsocket_mode " + tt.mode + "\nsocket_owner " + tt.owner
			c, err := config.Parse("app.conf", []byte(data), noEnviron)
			if err != nil {
				t.Fatal(err)
			}
			if g := c.Groups[0]; g.SocketMode != tt.wantMode || g.SocketOwner != tt.owner {
				t.Errorf("mode and owner are %v and %q, want %v and %q", g.SocketMode, g.SocketOwner, tt.wantMode, tt.owner)
			}
		})
	}
}
