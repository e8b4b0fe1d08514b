package config_test

import (
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

// environ returns options with these variables and no others.
func environ(variables ...string) config.Options {
	return config.Options{Program: "app", Environ: append([]string{"HOME=/root", "GOZD_"}, variables...)}
}

func TestEnvironment(t *testing.T) {
	port := func(name string) func(*config.Config) any {
		return func(c *config.Config) any {
			g, _ := c.Group(name)
			return g.Listen.Address
		}
	}
	pidfile := func(c *config.Config) any { return c.Daemon.PIDFile }
	tests := []struct {
		name, data string
		opts       config.Options
		get        func(*config.Config) any
		want       any
	}{
		{"value of a group", ok, environ("GOZD_OK_LISTEN=81"), port("ok"), ":81"},
		{"lower case", ok, environ("GOZD_ok_listen=81"), port("ok"), ":81"},
		{"group in mixed case", "[Web]\nmode tcp\nlisten 1", environ("GOZD_WEB_LISTEN=81"), port("Web"), ":81"},
		{"hyphen and full stop", "[a-b.c]\nmode tcp\nlisten 1", environ("GOZD_A_B_C_LISTEN=81"), port("a-b.c"), ":81"},
		{"value that the file lacks", "[ok]\nmode http", environ("GOZD_OK_LISTEN=81"), port("ok"), ":81"},
		{"group that is empty in the file", "[ok]", environ("GOZD_OK_LISTEN=81", "GOZD_OK_MODE=http"), port("ok"), ":81"},
		{"equals sign in the value", ok, environ("GOZD_GOZD_PIDFILE=/a=b"), pidfile, "/a=b"},
		{"value of the daemon, which the file has", ok + "[gozd]\npidfile /a", environ("GOZD_GOZD_PIDFILE=/b"), pidfile, "/b"},
		{"value of the daemon, which it lacks", ok, environ("GOZD_GOZD_PIDFILE=/b"), pidfile, "/b"},
		{"relative path", ok, environ("GOZD_GOZD_PIDFILE=b"), pidfile, "/etc/b"},
		{"empty value undoes the env_file", ok + "[gozd]\nenv_file /a", environ("GOZD_GOZD_ENV_FILE="), func(c *config.Config) any { return c.Daemon.EnvFile }, ""},
		{"empty value undoes the file's", ok + "[gozd]\nlog /a", environ("GOZD_GOZD_LOG="), func(c *config.Config) any { return c.Daemon.Log }, ""},
		{"last of two with one name", ok, environ("GOZD_OK_LISTEN=81", "GOZD_OK_LISTEN=82"), port("ok"), ":82"},
		{"bad value that is overridden", "[ok]\nmode http\nlisten nowhere", environ("GOZD_OK_LISTEN=81"), port("ok"), ":81"},
		{"key of two words", ok, environ("GOZD_OK_DRAIN_TIMEOUT=1s"), func(c *config.Config) any { return c.Groups[0].DrainTimeout }, time.Second},
		{"Kubernetes' service of the group's name", ok, environ("GOZD_OK_LISTEN=81", "GOZD_OK_SERVICE_HOST=10.0.0.1", "GOZD_OK_SERVICE_PORT=80",
			"GOZD_OK_SERVICE_PORT_HTTP=80", "GOZD_OK_PORT=tcp://10.0.0.1:80", "GOZD_OK_PORT_80_TCP=tcp://10.0.0.1:80", "GOZD_OK_PORT_80_TCP_PROTO=tcp",
			"GOZD_OK_PORT_80_TCP_PORT=80", "GOZD_OK_PORT_80_TCP_ADDR=10.0.0.1"), port("ok"), ":81"},
		{"Kubernetes' service of a longer name", ok, environ("GOZD_OK_LISTEN=81", "GOZD_OK_BLUE_SERVICE_HOST=10.0.0.1", "GOZD_OK_BLUE_PORT=tcp://10.0.0.1:80",
			"GOZD_OK_BLUE_PORT_53_UDP_ADDR=10.0.0.1"), port("ok"), ":81"},
		{"number in a string", ok, environ("GOZD_GOZD_MAX_FILES=9"), func(c *config.Config) any { return c.Daemon.MaxFiles }, uint64(9)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Parse("/etc/app.conf", []byte(tt.data), tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.get(c); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// An octal mode in quotes is a string in every format, and so is a variable.
func TestEnvironmentOverridesOtherFormats(t *testing.T) {
	c, err := config.Parse("app.yaml", []byte("a: {mode: tcp, listen: /a, socket_mode: 0660}"), environ("GOZD_A_SOCKET_MODE=0600"))
	if err != nil || c.Groups[0].SocketMode != 0o600 {
		t.Errorf("Parse = %+v, %v, want socket_mode 0600", c, err)
	}
	c, err = config.Parse("app.yaml", []byte("a:"), environ("GOZD_A_MODE=tcp", "GOZD_A_LISTEN=1"))
	if err != nil || c.Groups[0].Mode != config.TCP {
		t.Errorf("Parse = %+v, %v, want mode tcp", c, err)
	}
}

// Programs and their users have variables of their own.
func TestEnvironmentOfOthersIsIgnored(t *testing.T) {
	opts := environ("GOZD_WEB_LISTEN=nowhere", "GOZD_OK=1", "GOZD_OKAY_LISTEN=1", "GOZD=1", "GOZD_LISTEN=1",
		"gozd_ok_listen=nowhere", "XGOZD_OK_LISTEN=nowhere", "GOZD_FOO", "GOZD_OK_LISTEN")
	c, err := config.Parse("app.conf", []byte(ok), opts)
	if err != nil || c.Groups[0].Listen.Address != ":80" {
		t.Errorf("Parse = %+v, %v, want what the file says", c, err)
	}
}

// With groups a and a_socket, GOZD_A_SOCKET_MODE can be read in two ways.
func TestEnvironmentLongestGroupWins(t *testing.T) {
	const data = "[a]\nmode tcp\nlisten /a\n[a_socket]\nmode tcp\nlisten /b\n[a_stop]\nmode tcp\nlisten /c"
	c, err := config.Parse("app.conf", []byte(data), environ(
		"GOZD_A_SOCKET_MODE=http",      // mode of [a_socket], not socket_mode of [a]
		"GOZD_A_SOCKET_OWNER=www",      // only [a] has such a key
		"GOZD_A_STOP_TIMEOUT=1s",       // the same
		"GOZD_A_STOP_STOP_TIMEOUT=2s",  // of [a_stop]
		"GOZD_A_SOCKET_SOCKET_MODE=00", // of [a_socket]
	))
	if err != nil {
		t.Fatal(err)
	}
	a, socket, stop := c.Groups[0], c.Groups[1], c.Groups[2]
	if a.SocketMode != 0o660 || a.SocketOwner != "www" || a.StopTimeout != time.Second {
		t.Errorf("[a] is %+v", a)
	}
	if socket.Mode != config.HTTP || socket.SocketMode != 0 || socket.SocketOwner != "" {
		t.Errorf("[a_socket] is %+v", socket)
	}
	if stop.StopTimeout != 2*time.Second {
		t.Errorf("[a_stop] is %+v", stop)
	}
}

func TestEnvironmentErrors(t *testing.T) {
	const twins = "[a.b]\nmode tcp\nlisten 1\n[A-b]\nmode tcp\nlisten 2"
	tests := []struct {
		name, data string
		opts       config.Options
		want       string
	}{
		{"unknown key of a group", ok, environ("GOZD_OK_LISTNE=81"), `$GOZD_OK_LISTNE: [ok]: unknown key "listne" (did you mean "listen"?)`},
		{"unknown key for one that is missing", "[ok]\nmode http", environ("GOZD_OK_LISTNE=81"), `$GOZD_OK_LISTNE: [ok]: unknown key "listne" (did you mean "listen"?)`},
		{"unknown key of the daemon", ok, environ("GOZD_GOZD_PIDFLE=/a"), `$GOZD_GOZD_PIDFLE: [gozd]: unknown key "pidfle" (did you mean "pidfile"?)`},
		{"port of no service", ok, environ("GOZD_OK_PORT=81"), `$GOZD_OK_PORT: [ok]: unknown key "port" (did you mean "cert"?)`},
		{"almost a service", ok, environ("GOZD_OK_SERVICE_NAME=a"), `$GOZD_OK_SERVICE_NAME: [ok]: unknown key "service_name"`},
		{"no key", ok, environ("GOZD_OK_=81"), `$GOZD_OK_: [ok]: unknown key ""`},
		{"key of the daemon in a group", ok, environ("GOZD_OK_PIDFILE=/a"), `$GOZD_OK_PIDFILE: [ok]: unknown key "pidfile": it belongs in [gozd]`},
		{"unknown key of the longest group", "[a]\nmode tcp\nlisten 1\n[a_b]\nmode tcp\nlisten 2", environ("GOZD_A_B_C=1"), `$GOZD_A_B_C: [a_b]: unknown key "c"`},
		{"two groups of that name", twins, environ("GOZD_A_B_LISTEN=3"), "$GOZD_A_B_LISTEN: fits several groups: [A-b] and [a.b]"},
		{"two variables", ok, environ("GOZD_OK_LISTEN=81", "GOZD_ok_LISTEN=82"), "$GOZD_ok_LISTEN: [ok]: listen is already set by $GOZD_OK_LISTEN"},
		{"bad value", ok, environ("GOZD_OK_MODE=htpp"), `$GOZD_OK_MODE: [ok]: unknown mode "htpp" (did you mean "http"?)`},
		{"empty value", ok, environ("GOZD_OK_LISTEN="), "$GOZD_OK_LISTEN: [ok]: listen needs a value"},
		{"conflict", "[a]\nmode tcp\nlisten 1\n" + ok, environ("GOZD_OK_LISTEN=1"), "$GOZD_OK_LISTEN: [ok]: listen :1 is taken: [a], line 3 listens on :1"},
		{"after the errors of the file", "[ok]\nmode htpp\nlisten 80", environ("GOZD_OK_STOP_TIMEOUT=1"), "app.conf:2: [ok]: unknown mode \"htpp\" (did you mean \"http\"?)\n" +
			`$GOZD_OK_STOP_TIMEOUT: [ok]: stop_timeout "1" needs a unit, as in "10s"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Parse("app.conf", []byte(tt.data), tt.opts)
			if err == nil || err.Error() != tt.want {
				t.Errorf("Parse = %+v, %v\nwant %s", c, err, tt.want)
			}
		})
	}
}

// Groups whose names a variable cannot tell apart are fine without variables.
func TestEnvironmentTwinsAreFineUntilNamed(t *testing.T) {
	c, err := config.Parse("app.conf", []byte("[a.b]\nmode tcp\nlisten 1\n[a-b]\nmode tcp\nlisten 2"), environ())
	if err != nil || len(c.Groups) != 2 {
		t.Errorf("Parse = %+v, %v, want two groups", c, err)
	}
}

func TestEnvironmentOfTheProcess(t *testing.T) {
	t.Setenv("GOZD_OK_LISTEN", "81")
	c, err := config.Parse("app.conf", []byte(ok), config.Options{})
	if err != nil || c.Groups[0].Listen.Address != ":81" {
		t.Errorf("Parse = %+v, %v, want listen of the environment", c, err)
	}
}
