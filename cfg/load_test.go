package cfg_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/knadh/koanf/parsers/yaml"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
)

// The same tree in every format: each key of both kinds of sections, with no
// value that is its default. The names of the groups are in alphabetical order,
// since only the native format has one of its own.
var formats = map[string]string{
	"app.conf": `
[gozd]
pidfile          run/app.pid
log              /var/log/app.log
log_format       json
env_file         app.env
user             app
group            1000
umask            0007
max_files        4096
upgrade_timeout  30s
probation        5s
max_generations  4
supervise        yes
fdstore          yes

[app.socket]
mode           fcgi
listen         unix:run/app.sock
socket_mode    0600
socket_owner   www:www
drain_timeout  0s
stop_timeout   1m30s

[web-1]
mode    https
listen  443
key     key.pem
cert    /etc/app/cert.pem
spread  30s
`,
	"app.yaml": `
gozd:
  pidfile: run/app.pid
  log: /var/log/app.log
  log_format: json
  env_file: app.env
  user: app
  group: 1000
  umask: "0007"
  max_files: 4096
  upgrade_timeout: 30s
  probation: 5s
  max_generations: 4
  supervise: yes
  fdstore: yes
web-1:
  mode: https
  listen: 443
  key: key.pem
  cert: /etc/app/cert.pem
  spread: 30s
app.socket:
  mode: fcgi
  listen: unix:run/app.sock
  socket_mode: "0600"
  socket_owner: www:www
  drain_timeout: 0s
  stop_timeout: 1m30s
`,
	"app.toml": `
[gozd]
pidfile = "run/app.pid"
log = "/var/log/app.log"
log_format = "json"
env_file = "app.env"
user = "app"
group = 1000
umask = "0007"
max_files = 4_096
upgrade_timeout = "30s"
probation = "5s"
max_generations = 4
supervise = true
fdstore = true

[web-1]
mode = "https"
listen = 443
key = "key.pem"
cert = "/etc/app/cert.pem"
spread = "30s"

["app.socket"]
mode = "fcgi"
listen = "unix:run/app.sock"
socket_mode = "0600"
socket_owner = "www:www"
drain_timeout = "0s"
stop_timeout = "1m30s"
`,
	"app.json": `{
	"gozd": {
		"pidfile": "run/app.pid", "log": "/var/log/app.log", "log_format": "json", "env_file": "app.env",
		"user": "app", "group": 1000, "umask": "0007", "max_files": 4096,
		"upgrade_timeout": "30s", "probation": "5s", "max_generations": 4, "supervise": true, "fdstore": true
	},
	"web-1": {"mode": "https", "listen": 443, "key": "key.pem", "cert": "/etc/app/cert.pem", "spread": "30s"},
	"app.socket": {
		"mode": "fcgi", "listen": "unix:run/app.sock", "socket_mode": "0600", "socket_owner": "www:www",
		"drain_timeout": "0s", "stop_timeout": "1m30s"
	}
}`,
}

// formatsWant is what the files above say if they lie in dir.
func formatsWant(dir, name string) *cfg.Config {
	return &cfg.Config{
		File: filepath.Join(dir, name),
		Daemon: cfg.Daemon{
			PIDFile:        filepath.Join(dir, "run/app.pid"),
			Log:            "/var/log/app.log",
			LogFormat:      cfg.LogJSON,
			EnvFile:        filepath.Join(dir, "app.env"),
			User:           "app",
			Group:          "1000",
			Umask:          0o007,
			MaxFiles:       4096,
			UpgradeTimeout: 30 * time.Second,
			Probation:      5 * time.Second,
			MaxGenerations: 4,
			Supervise:      cfg.SuperviseYes,
			FDStore:        true,
		},
		Groups: []cfg.Group{{
			Name:         "app.socket",
			Mode:         cfg.FCGI,
			Listen:       cfg.Address{Network: "unix", Address: filepath.Join(dir, "run/app.sock")},
			SocketMode:   0o600,
			SocketOwner:  "www:www",
			DrainTimeout: 0,
			StopTimeout:  90 * time.Second,
		}, {
			Name:         "web-1",
			Mode:         cfg.HTTPS,
			Listen:       cfg.Address{Network: "tcp", Address: ":443"},
			Key:          filepath.Join(dir, "key.pem"),
			Cert:         "/etc/app/cert.pem",
			SocketMode:   0o660,
			DrainTimeout: 15 * time.Minute,
			StopTimeout:  10 * time.Second,
			Spread:       30 * time.Second,
		}},
	}
}

func TestFormatsHoldTheSameTree(t *testing.T) {
	dir := filepath.Join(string(filepath.Separator), "etc", "app")
	for name, data := range formats {
		t.Run(name, func(t *testing.T) {
			want := formatsWant(dir, name)
			if name == "app.conf" {
				want.Groups[0].Line, want.Groups[1].Line = 17, 25
			}
			got, err := cfg.Parse(filepath.Join(dir, name), []byte(data), noEnviron)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("Parse = %+v, %v\nwant    %+v", got, err, want)
			}
		})
	}
}

// noEnviron keeps the environment of the test out of it.
var noEnviron = cfg.Options{Program: "app", Environ: []string{}}

func TestFormatGoesByExtension(t *testing.T) {
	tests := []struct{ file, like string }{
		{"app.yml", "app.yaml"},
		{"APP.YAML", "app.yaml"},
		{"app.TOML", "app.toml"},
		{"app.Json", "app.json"},
		{"app", "app.conf"},
		{"app.ini", "app.conf"},
		{"yaml", "app.conf"},
		{"app.yaml.bak", "app.conf"},
		{"", "app.conf"},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			got, err := cfg.Parse(tt.file, []byte(formats[tt.like]), noEnviron)
			if err != nil || len(got.Groups) != 2 {
				t.Errorf("Parse(%q) does not take the format of %s: %v", tt.file, tt.like, err)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	got, err := cfg.Parse("/etc/app.conf", []byte("[web]\nmode http\nlisten 80"), noEnviron)
	if err != nil {
		t.Fatal(err)
	}
	want := &cfg.Config{
		File: "/etc/app.conf",
		Daemon: cfg.Daemon{
			PIDFile:        got.Daemon.PIDFile, // has a test of its own
			LogFormat:      cfg.LogText,
			Umask:          0o027,
			UpgradeTimeout: time.Minute,
			MaxGenerations: 16,
			Supervise:      cfg.SuperviseAuto,
		},
		Groups: []cfg.Group{{
			Name:         "web",
			Mode:         cfg.HTTP,
			Listen:       cfg.Address{Network: "tcp", Address: ":80"},
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
	got, err := cfg.Parse("app.conf", []byte(data), noEnviron)
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
	c, err := cfg.Parse("app.conf", []byte("[a]\nmode tcp\nlisten 1\n[b]\nmode tcp\nlisten 2"), noEnviron)
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
		get              func(*cfg.Config) any
		want             any
	}{
		{"supervise true", "supervise", "true", supervise, cfg.SuperviseYes},
		{"supervise false", "supervise", "false", supervise, cfg.SuperviseNo},
		{"supervise no", "supervise", "no", supervise, cfg.SuperviseNo},
		{"supervise auto", "supervise", "auto", supervise, cfg.SuperviseAuto},
		{"fdstore yes", "fdstore", "yes", fdstore, true},
		{"fdstore no", "fdstore", "no", fdstore, false},
		{"fdstore false", "fdstore", "false", fdstore, false},
		{"no probation", "probation", "0s", func(c *cfg.Config) any { return c.Daemon.Probation }, time.Duration(0)},
		{"fraction", "probation", "1.5h", func(c *cfg.Config) any { return c.Daemon.Probation }, 90 * time.Minute},
		{"fewest generations", "max_generations", "2", func(c *cfg.Config) any { return c.Daemon.MaxGenerations }, 2},
		{"fewest files", "max_files", "1", func(c *cfg.Config) any { return c.Daemon.MaxFiles }, uint64(1)},
		{"empty log", "log", `""`, func(c *cfg.Config) any { return c.Daemon.Log }, ""},
		{"empty env_file", "env_file", `""`, func(c *cfg.Config) any { return c.Daemon.EnvFile }, ""},
		{"env_file elsewhere", "env_file", "/run/app.env", func(c *cfg.Config) any { return c.Daemon.EnvFile }, "/run/app.env"},
		{"log in the directory above", "log", "../app.log", func(c *cfg.Config) any { return c.Daemon.Log }, "/etc/app.log"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := "[web]\nmode http\nlisten 80\n[gozd]\n" + tt.key + " " + tt.value
			c, err := cfg.Parse("/etc/app/app.conf", []byte(data), noEnviron)
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.get(c); got != tt.want {
				t.Errorf("%s %s gives %v, want %v", tt.key, tt.value, got, tt.want)
			}
		})
	}
}

func supervise(c *cfg.Config) any { return c.Daemon.Supervise }
func fdstore(c *cfg.Config) any   { return c.Daemon.FDStore }

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
			c, err := cfg.Parse("app.conf", []byte(data), noEnviron)
			if err != nil {
				t.Fatal(err)
			}
			if g := c.Groups[0]; g.SocketMode != tt.wantMode || g.SocketOwner != tt.owner {
				t.Errorf("mode and owner are %v and %q, want %v and %q", g.SocketMode, g.SocketOwner, tt.wantMode, tt.owner)
			}
		})
	}
}

// "-s stop -c /path/app.conf" has to find the PID file from any directory.
func TestRelativePathsDoNotDependOnTheWorkingDirectory(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir()) // what Getwd says after Chdir
	if err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, dir, "app.conf", formats["app.conf"])
	t.Chdir(dir)
	near, err := cfg.Load("app.conf", noEnviron)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(os.TempDir())
	far, err := cfg.Load(file, noEnviron)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(near, far) {
		t.Errorf("from its directory: %+v\nfrom elsewhere:     %+v", near, far)
	}
	if want := filepath.Join(dir, "run/app.pid"); near.Daemon.PIDFile != want {
		t.Errorf("PIDFile = %q, want %q", near.Daemon.PIDFile, want)
	}
}

func writeFile(t *testing.T, dir, name, data string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLoadMissingFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.conf")
	c, err := cfg.Load(file, noEnviron)
	if c != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Load = %v, %v, want an error that is fs.ErrNotExist", c, err)
	}
	if want := "configuration: open " + file + ": no such file or directory"; err.Error() != want {
		t.Errorf("Load = %v\nwant %s", err, want)
	}
}

func TestLoadDirectory(t *testing.T) {
	dir := t.TempDir()
	_, err := cfg.Load(dir, noEnviron)
	if want := "configuration: read " + dir + ": is a directory"; err == nil || err.Error() != want {
		t.Errorf("Load = %v\nwant %s", err, want)
	}
}

func TestFileSizeIsBounded(t *testing.T) {
	const data = "[web]\nmode http\nlisten 80\n"
	full := data + strings.Repeat("#", cfg.MaxSize-len(data))
	file := writeFile(t, t.TempDir(), "app.conf", full)
	if _, err := cfg.Load(file, noEnviron); err != nil {
		t.Errorf("file of %d bytes: %v", len(full), err)
	}
	writeFile(t, filepath.Dir(file), "app.conf", full+"#")
	_, err := cfg.Load(file, noEnviron)
	if want := file + ": file is larger than 1048576 bytes"; err == nil || err.Error() != want {
		t.Errorf("Load = %v\nwant %s", err, want)
	}
}

// FuzzParse gives every format what it was not made for.
func FuzzParse(f *testing.F) {
	for name, data := range formats {
		f.Add(name, []byte(data))
	}
	f.Add("a.yaml", []byte("a: &x {b: *x}"))
	f.Add("a.yaml", []byte("1: {2: 3}\n~: ~\n? [a]\n: b"))
	f.Add("a.toml", []byte("a.b = 1979-05-27\n[[c]]\nd = 07:32:00"))
	f.Add("a.json", []byte(`{"a":{"a":1,"a":[{"b":{}}]},"a":null}`))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		if strings.ContainsRune(name, '/') || len(name) > 10 {
			t.Skip("only the extension is of interest")
		}
		c, err := cfg.Parse(name, data, noEnviron)
		var all cfg.Errors
		switch {
		case err == nil && len(c.Groups) == 0:
			t.Fatal("neither groups nor an error")
		case err != nil && (c != nil || !errors.As(err, &all) || len(all) == 0):
			t.Fatalf("Parse = %v, %#v", c, err)
		}
	})
}

// Two daemons of one program may read their configurations together, and what
// one changes in its own is nothing to the other.
func TestParseIsSafeForConcurrentUse(t *testing.T) {
	opts := environ("GOZD_WEB_1_LISTEN=8443")
	data := []byte(formats["app.conf"])
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c, err := cfg.Parse("app.conf", data, opts)
			if err != nil {
				t.Error(err)
				return
			}
			if g, _ := c.Group("web-1"); g.Listen.Address != ":8443" {
				t.Errorf("listen is %s, want :8443", g.Listen)
			}
			c.Groups[0].Name = "changed"
		})
	}
	wg.Wait()
	if string(data) != formats["app.conf"] {
		t.Error("Parse has changed its input")
	}
}

// What is wrong with a line is found without reading all of the others again.
func TestManyErrorsAreFoundQuickly(t *testing.T) {
	var b strings.Builder
	b.WriteString(ok)
	for i := range 10000 {
		fmt.Fprintf(&b, "k%d x\n", i)
	}
	start := time.Now()
	_, err := cfg.Parse("app.conf", []byte(b.String()), noEnviron)
	var all cfg.Errors
	if !errors.As(err, &all) || len(all) != 10000 {
		t.Errorf("Parse has %d errors, want 10000", len(all))
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("Parse took %v", took)
	}
}

// What the package writes in its own format, it reads as it would have read
// the original.
func TestMarshalOfAnotherFormatIsTheSameConfiguration(t *testing.T) {
	tree, err := yaml.Parser().Unmarshal([]byte(formats["app.yaml"]))
	if err != nil {
		t.Fatal(err)
	}
	native, err := cfg.Native{}.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	got, err := cfg.Parse("/etc/app/app.conf", native, noEnviron)
	if err != nil {
		t.Fatal(err)
	}
	want := formatsWant("/etc/app", "app.conf")
	for i := range got.Groups {
		got.Groups[i].Line = 0
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Parse = %+v\nwant    %+v", got, want)
	}
}
