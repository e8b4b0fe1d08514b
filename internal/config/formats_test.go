package config_test

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	_ "bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg/json"
	_ "bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg/toml"
	_ "bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg/yaml"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
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
key     key.pem, b-key.pem
cert    /etc/app/cert.pem,b.pem
client_ca ca.pem
spread  30s
http2   no
move_tls yes
`,
	"app.yaml": `
gozd:
  pidfile: run/app.pid
  log: /var/log/app.log
  log_format: json
  env_file: app.env
  user: app
  group: "1000"
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
  key: [key.pem, b-key.pem]
  cert:
    - /etc/app/cert.pem
    - b.pem
  client_ca: ca.pem
  spread: 30s
  http2: no
  move_tls: yes
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
group = "1000"
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
key = ["key.pem", "b-key.pem"]
cert = "/etc/app/cert.pem, b.pem"
client_ca = "ca.pem"
spread = "30s"
http2 = false
move_tls = true

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
		"user": "app", "group": "1000", "umask": "0007", "max_files": 4096,
		"upgrade_timeout": "30s", "probation": "5s", "max_generations": 4, "supervise": true, "fdstore": true
	},
	"web-1": {"mode": "https", "listen": 443, "key": ["key.pem", "b-key.pem"], "cert": ["/etc/app/cert.pem", "b.pem"], "client_ca": "ca.pem", "spread": "30s", "http2": false, "move_tls": true},
	"app.socket": {
		"mode": "fcgi", "listen": "unix:run/app.sock", "socket_mode": "0600", "socket_owner": "www:www",
		"drain_timeout": "0s", "stop_timeout": "1m30s"
	}
}`,
}

// formatsWant is what the files above say if they lie in dir.
func formatsWant(dir, name string) *config.Config {
	return &config.Config{
		File: filepath.Join(dir, name),
		Daemon: config.Daemon{
			PIDFile:        filepath.Join(dir, "run/app.pid"),
			Log:            "/var/log/app.log",
			LogFormat:      config.LogJSON,
			EnvFile:        filepath.Join(dir, "app.env"),
			User:           "app",
			Group:          "1000",
			Umask:          0o007,
			MaxFiles:       4096,
			UpgradeTimeout: 30 * time.Second,
			Probation:      5 * time.Second,
			MaxGenerations: 4,
			Supervise:      config.SuperviseYes,
			FDStore:        true,
		},
		Groups: []config.Group{{
			Name:         "app.socket",
			Mode:         config.FCGI,
			Listen:       config.Address{Network: "unix", Address: filepath.Join(dir, "run/app.sock")},
			SocketMode:   0o600,
			SocketOwner:  "www:www",
			DrainTimeout: 0,
			StopTimeout:  90 * time.Second,
		}, {
			Name:   "web-1",
			Mode:   config.HTTPS,
			Listen: config.Address{Network: "tcp", Address: ":443"},
			Pairs: []config.KeyPair{
				{Key: filepath.Join(dir, "key.pem"), Cert: "/etc/app/cert.pem"},
				{Key: filepath.Join(dir, "b-key.pem"), Cert: filepath.Join(dir, "b.pem")},
			},
			ClientCA:     filepath.Join(dir, "ca.pem"),
			MoveTLS:      true,
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
			got, err := config.Parse(filepath.Join(dir, name), []byte(data), noEnviron)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("Parse = %+v, %v\nwant    %+v", got, err, want)
			}
		})
	}
}

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
			got, err := config.Parse(tt.file, []byte(formats[tt.like]), noEnviron)
			if err != nil || len(got.Groups) != 2 {
				t.Errorf("Parse(%q) does not take the format of %s: %v", tt.file, tt.like, err)
			}
		})
	}
}
