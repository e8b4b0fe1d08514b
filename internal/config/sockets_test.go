package config_test

import (
	"fmt"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

// Sockets that the process is started with are the groups', and the file may say so.
func TestSockets(t *testing.T) {
	tcp := func(addr string) map[string]config.Address {
		return map[string]config.Address{"web": {Network: "tcp", Address: addr}}
	}
	unix := map[string]config.Address{"web": {Network: "unix", Address: "/run/x.sock"}}
	for _, tt := range []struct {
		name, listen string
		sockets      map[string]config.Address
		want         string // the address, or the error
	}{
		{"no listen", "", tcp("[::]:80"), "[::]:80"},
		{"no listen, a Unix socket", "", unix, "/run/x.sock"},
		{"the same", "listen 127.0.0.1:80", tcp("127.0.0.1:80"), "127.0.0.1:80"},
		{"the same, in other words", "listen 80", tcp("[::]:80"), ":80"},
		{"the same, without IPv6", "listen 80", tcp("0.0.0.0:80"), ":80"},
		{"a name", "listen localhost:80", tcp("127.0.0.1:80"), "localhost:80"},
		{"any port", "listen 127.0.0.1:0", tcp("127.0.0.1:4711"), "127.0.0.1:0"},
		{"the same path", "listen /run/x.sock", unix, "/run/x.sock"},
		{"another port", "listen 81", tcp("[::]:80"), "app.conf:3: [web]: listen :81: systemd passes a socket on [::]:80 for this group"},
		{"another host", "listen 127.0.0.1:80", tcp("[::]:80"), "app.conf:3: [web]: listen 127.0.0.1:80: systemd passes a socket on [::]:80 for this group"},
		{"every host of IPv4", "listen 0.0.0.0:80", tcp("[::]:80"), "app.conf:3: [web]: listen 0.0.0.0:80: systemd passes a socket on [::]:80 for this group"},
		{"another network", "listen 80", unix, "app.conf:3: [web]: listen :80: systemd passes a socket on /run/x.sock for this group"},
		{"another path", "listen /run/y.sock", unix, "app.conf:3: [web]: listen /run/y.sock: systemd passes a socket on /run/x.sock for this group"},
		{
			"no such group", "listen 80",
			map[string]config.Address{"wbe": {Network: "tcp", Address: "[::]:80"}},
			`app.conf: systemd passes a socket named "wbe" on [::]:80, and there is no such group: FileDescriptorName= in the socket unit is to be the name of one`,
		},
		{"neither", "", nil, "app.conf:1: [web]: listen is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conf, err := config.Parse("app.conf", []byte("[web]\nmode http\n"+tt.listen+"\n"), config.Options{Environ: []string{}, Sockets: tt.sockets})
			got := fmt.Sprint(err)
			if err == nil {
				got = conf.Groups[0].Listen.Address
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A socket has to be of the kind that the group's mode needs.
func TestSocketsOfBothKinds(t *testing.T) {
	udp := config.Address{Network: "udp", Address: "127.0.0.1:53"}
	gram := config.Address{Network: "unixgram", Address: "/run/x.sock"}
	tcp := config.Address{Network: "tcp", Address: "127.0.0.1:53"}
	unix := config.Address{Network: "unix", Address: "/run/x.sock"}
	for _, tt := range []struct {
		text  string
		given config.Address
		want  string
	}{
		{"mode udp", udp, "udp 127.0.0.1:53"},
		{"mode udp\nlisten 127.0.0.1:53", udp, "udp 127.0.0.1:53"},
		{"mode udp", gram, "unixgram /run/x.sock"},
		{"mode udp\nlisten /run/x.sock\nsocket_mode 0600", gram, "unixgram /run/x.sock"},
		{"mode udp", tcp, "app.conf:2: [web]: mode udp: systemd passes this group a socket of ListenStream=, which is for the other modes"},
		{"mode udp\nlisten /run/x.sock", unix, "app.conf:2: [web]: mode udp: systemd passes this group a socket of ListenStream=, which is for the other modes"},
		{"mode http", udp, "app.conf:2: [web]: mode http: systemd passes this group a socket of ListenDatagram=, which is for mode udp"},
		{"mode tcp\nlisten /run/x.sock", gram, "app.conf:2: [web]: mode tcp: systemd passes this group a socket of ListenDatagram=, which is for mode udp"},
		{"mode udp\nlisten 54", udp, "app.conf:3: [web]: listen :54: systemd passes a socket on 127.0.0.1:53 for this group"},
	} {
		conf, err := config.Parse("app.conf", []byte("[web]\n"+tt.text+"\n"), config.Options{Environ: []string{}, Sockets: map[string]config.Address{"web": tt.given}})
		got := fmt.Sprint(err)
		if err == nil {
			got = conf.Groups[0].Listen.Network + " " + conf.Groups[0].Listen.Address
		}
		if got != tt.want {
			t.Errorf("%q with %v: got %q, want %q", tt.text, tt.given, got, tt.want)
		}
	}
}

// Who only looks at a configuration cannot know which sockets systemd would pass.
func TestAnySocket(t *testing.T) {
	conf, err := config.Parse("app.conf", []byte("[web]\nmode http\n[api]\nmode http\nlisten 80\n"), config.Options{Environ: []string{}, AnySocket: true})
	if err != nil {
		t.Fatal(err)
	}
	if a := conf.Groups[0].Listen; a != (config.Address{}) {
		t.Errorf("[web] listens on %v", a)
	}
	if a := conf.Groups[1].Listen.Address; a != ":80" {
		t.Errorf("[api] listens on %q", a)
	}
}
