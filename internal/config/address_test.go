package config_test

import (
	"net"
	"runtime"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

func TestParseAddress(t *testing.T) {
	tests := []struct {
		name    string
		in      string
		mode    config.Mode
		network string
		want    string
	}{
		{"host and port", "example.org:8080", config.TCP, "tcp", "example.org:8080"},
		{"name with underscore", "my_host:1", config.TCP, "tcp", "my_host:1"},
		{"absolute name", "example.org.:1", config.TCP, "tcp", "example.org.:1"},
		{"name that begins with a digit", "1a.example:1", config.TCP, "tcp", "1a.example:1"},
		{"IPv4 and port", "127.0.0.1:2133", config.TCP, "tcp", "127.0.0.1:2133"},
		{"IPv6 and port", "[::1]:443", config.HTTPS, "tcp", "[::1]:443"},
		{"IPv6 spelled out", "[0:0:0:0:0:0:0:1]:443", config.HTTPS, "tcp", "[::1]:443"},
		{"IPv6 with a zone", "[fe80::1%eth0]:443", config.HTTPS, "tcp", "[fe80::1%eth0]:443"},
		{"port", "443", config.HTTPS, "tcp", ":443"},
		{"port after a colon", ":443", config.HTTPS, "tcp", ":443"},
		{"port with zeros before it", "00443", config.HTTPS, "tcp", ":443"},
		{"any port", "0", config.TCP, "tcp", ":0"},
		{"any port of a host", "127.0.0.1:0", config.TCP, "tcp", "127.0.0.1:0"},
		{"highest port", "65535", config.TCP, "tcp", ":65535"},
		{"IPv4, http", "10.0.0.1", config.HTTP, "tcp", "10.0.0.1:80"},
		{"IPv4, https", "10.0.0.1", config.HTTPS, "tcp", "10.0.0.1:443"},
		{"IPv4, fcgi", "10.0.0.1", config.FCGI, "tcp", "10.0.0.1:9000"},
		{"IPv6, http", "::1", config.HTTP, "tcp", "[::1]:80"},
		{"IPv6 in brackets, http", "[::1]", config.HTTP, "tcp", "[::1]:80"},
		{"every address", "::", config.HTTP, "tcp", "[::]:80"},
		{"looks like IPv6 and port, is IPv6", "::1:80", config.HTTP, "tcp", "[::1:80]:80"},
		{"absolute path", "/run/x.sock", config.FCGI, "unix", "/run/x.sock"},
		{"path that is not clean", "/run//app/../x.sock", config.FCGI, "unix", "/run/x.sock"},
		{"absolute path after unix:", "unix:/run/x.sock", config.FCGI, "unix", "/run/x.sock"},
		{"relative path", "unix:run/x.sock", config.FCGI, "unix", "run/x.sock"},
		{"relative path with a dot", "unix:./x.sock", config.FCGI, "unix", "x.sock"},
		{"file whose name begins with @", "unix:./@x", config.FCGI, "unix", "./@x"},
		{"longest path", "/" + strings.Repeat("x", 102), config.TCP, "unix", "/" + strings.Repeat("x", 102)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := config.Address{Network: tt.network, Address: tt.want}
			got, err := config.ParseAddress(tt.in, tt.mode)
			if err != nil || got != want {
				t.Fatalf("ParseAddress(%q, %s) = %v, %v, want %v", tt.in, tt.mode, got, err, want)
			}
			// Its String says the port, so that the mode no longer matters.
			if again, err := config.ParseAddress(got.String(), config.TCP); err != nil || again != got {
				t.Errorf("ParseAddress(%q) = %v, %v, want %v", got.String(), again, err, got)
			}
		})
	}
}

func TestParseAddressAbstract(t *testing.T) {
	for _, in := range []string{"@app", "unix:@app"} {
		got, err := config.ParseAddress(in, config.TCP)
		if runtime.GOOS != "linux" {
			if want := `address "` + in + `": abstract sockets exist on linux only`; err == nil || err.Error() != want {
				t.Errorf("ParseAddress(%q) = %v, want %s", in, err, want)
			}
			continue
		}
		if want := (config.Address{Network: "unix", Address: "@app"}); err != nil || got != want {
			t.Errorf("ParseAddress(%q) = %v, %v, want %v", in, got, err, want)
		}
		if got.String() != "@app" {
			t.Errorf("String() = %q, want %q", got.String(), "@app")
		}
	}
}

// Mode udp has the addresses of the others, on networks of its own.
func TestParseAddressOfDatagrams(t *testing.T) {
	for in, want := range map[string][3]string{
		"53":             {"udp :53", "udp", ":53"},
		"0.0.0.0:53":     {"udp 0.0.0.0:53", "udp4", "0.0.0.0:53"},
		"[::1]:53":       {"udp [::1]:53", "udp", "[::1]:53"},
		"/run/x.sock":    {"unixgram /run/x.sock", "unixgram", "/run/x.sock"},
		"unix:run/x":     {"unixgram run/x", "unixgram", "run/x"},
		"localhost:5353": {"udp localhost:5353", "udp", "localhost:5353"},
	} {
		a, err := config.ParseAddress(in, config.UDP)
		if err != nil {
			t.Errorf("ParseAddress(%q): %v", in, err)
			continue
		}
		network, address := a.Bind()
		if got := [3]string{a.Network + " " + a.Address, network, address}; got != want || !a.IsPackets() {
			t.Errorf("ParseAddress(%q) = %q, want %q", in, got, want)
		}
		if again, err := config.ParseAddress(a.String(), config.UDP); err != nil || again != a {
			t.Errorf("%q is read back as %v, %v", a.String(), again, err)
		}
	}
	if _, err := config.ParseAddress("224.0.0.251:53", config.UDP); err == nil || !strings.Contains(err.Error(), "multicast") {
		t.Errorf("multicast: %v", err)
	}
	if _, err := config.ParseAddress("127.0.0.1", config.UDP); err == nil || !strings.HasSuffix(err.Error(), "mode udp has no usual one") {
		t.Errorf("without a port: %v", err)
	}
}

func TestParseAddressErrors(t *testing.T) {
	tests := []struct {
		name, in string
		mode     config.Mode
		want     string
	}{
		{"nothing", "", config.HTTP, `address "": missing port in address`},
		{"IP without port, tcp", "127.0.0.1", config.TCP, `address "127.0.0.1": the port is missing, and mode tcp has no usual one`},
		{"name without port", "localhost", config.HTTP, `address "localhost": missing port in address`},
		{"colon without port", "localhost:", config.HTTP, `address "localhost:": port "" is not a number`},
		{"port too high", "65536", config.HTTP, `address "65536": port 65536 is over 65535`},
		{"port much too high", ":99999999999999999999", config.HTTP, `address ":99999999999999999999": port 99999999999999999999 is over 65535`},
		{"negative port", ":-1", config.HTTP, `address ":-1": port "-1" is not a number`},
		{"port with a sign", "host:+80", config.HTTP, `address "host:+80": port "+80" is not a number`},
		{"name of a service", "localhost:http", config.HTTP, `address "localhost:http": port "http" is not a number`},
		{"star", "*:80", config.HTTP, `address "*:80": every address is written without a host, as in ":80"`},
		{"URL", "http://localhost:80", config.HTTP, `address "http://localhost:80": a relative path is written "unix:path", and a URL is no address`},
		{"relative path", "run/x.sock", config.HTTP, `address "run/x.sock": a relative path is written "unix:path", and a URL is no address`},
		{"IPv4 in brackets", "[127.0.0.1]:80", config.HTTP, `address "[127.0.0.1]:80": "127.0.0.1" is not an IPv6 address`},
		{"only IPv4 in brackets", "[127.0.0.1]", config.HTTP, `address "[127.0.0.1]": missing port in address`},
		{"name in brackets", "[host]:80", config.HTTP, `address "[host]:80": "host" is not an IPv6 address`},
		{"bracket does not close", "[::1:80", config.HTTP, `address "[::1:80": missing ']' in address`},
		{"too many colons", "a:b:80", config.HTTP, `address "a:b:80": too many colons in address`},
		{"IPv4 out of range", "256.0.0.1:80", config.HTTP, `address "256.0.0.1:80": "256.0.0.1" is not an IP address`},
		{"IPv4 too short", "10.1:80", config.HTTP, `address "10.1:80": "10.1" is not an IP address`},
		{"white space", "host name:80", config.HTTP, `address "host name:80": "host name" is not a host`},
		{"host too long", strings.Repeat("x", 254) + ":80", config.HTTP, `address "` + strings.Repeat("x", 254) + `:80": "` + strings.Repeat("x", 254) + `" is not a host`},
		{"no path", "unix:", config.HTTP, `address "unix:": the name of the socket is missing`},
		{"no name", "@", config.HTTP, `address "@": the name of the socket is missing`},
		{"NUL in a path", "/a\x00b", config.HTTP, `address "/a\x00b": a path cannot hold a NUL byte`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := config.ParseAddress(tt.in, tt.mode)
			if err == nil || err.Error() != tt.want {
				t.Errorf("ParseAddress(%q) = %v, %v\nwant %s", tt.in, got, err, tt.want)
			}
			if got != (config.Address{}) {
				t.Errorf("ParseAddress(%q) = %v with an error, want the zero Address", tt.in, got)
			}
		})
	}
}

// The limit is the one that the system really has: with one byte more, bind
// says "invalid argument".
func TestSocketPathLimit(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("absolute paths begin with a drive there")
	}
	dir := t.TempDir()
	limit := config.MaxSocketPath(runtime.GOOS)
	longest := dir + "/" + strings.Repeat("x", limit-len(dir)-1)
	bind(t, mustAddress(t, longest))
	if _, err := config.ParseAddress(longest+"x", config.TCP); err == nil {
		t.Errorf("ParseAddress of a path of %d bytes has no error", limit+1)
	}
	if ln, err := net.Listen("unix", longest+"x"); err == nil {
		ln.Close()
		t.Errorf("a socket's path may have more than %d bytes here", limit)
	}
}

func TestSocketPathLimitBySystem(t *testing.T) {
	for goos, want := range map[string]int{"linux": 107, "darwin": 103, "freebsd": 103, "windows": 107} {
		if got := config.MaxSocketPath(goos); got != want {
			t.Errorf("limit on %s = %d, want %d", goos, got, want)
		}
	}
}

func TestSocketPathLimitMessage(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the message names the system")
	}
	path := "/" + strings.Repeat("x", 107)
	_, err := config.ParseAddress(path, config.TCP)
	want := `address "` + path + `": a socket's path has at most 107 bytes on linux, this one has 108`
	if err == nil || err.Error() != want {
		t.Errorf("ParseAddress = %v\nwant %s", err, want)
	}
}

func TestAddressBind(t *testing.T) {
	tests := []struct {
		name          string
		in            config.Address
		network, addr string
	}{
		{"every IPv4 address", config.Address{Network: "tcp", Address: "0.0.0.0:80"}, "tcp4", "0.0.0.0:80"},
		{"every address", config.Address{Network: "tcp", Address: ":80"}, "tcp", ":80"},
		{"every address, as IPv6", config.Address{Network: "tcp", Address: "[::]:80"}, "tcp", "[::]:80"},
		{"one IPv4 address", config.Address{Network: "tcp", Address: "127.0.0.1:80"}, "tcp", "127.0.0.1:80"},
		{"a socket of that name", config.Address{Network: "unix", Address: "0.0.0.0:80"}, "unix", "0.0.0.0:80"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			network, addr := tt.in.Bind()
			if network != tt.network || addr != tt.addr {
				t.Errorf("Bind() = %q, %q, want %q, %q", network, addr, tt.network, tt.addr)
			}
		})
	}
}

func TestAddressConflicts(t *testing.T) {
	tests := []struct {
		name, a, b string
		want       bool
	}{
		{"same", "127.0.0.1:80", "127.0.0.1:80", true},
		{"other port", "127.0.0.1:80", "127.0.0.1:81", false},
		{"other host", "127.0.0.1:80", "127.0.0.2:80", false},
		{"any port", "127.0.0.1:0", "127.0.0.1:0", false},
		{"any port of every address", ":0", ":0", false},
		{"every address and IPv4", ":80", "127.0.0.1:80", true},
		{"every address and IPv6", ":80", "[::1]:80", true},
		{"every address and a name", ":80", "localhost:80", true},
		{"every address and every IPv4", ":80", "0.0.0.0:80", true},
		{"[::] and IPv4", "[::]:80", "127.0.0.1:80", true},
		{"[::] and every address", "[::]:80", ":80", true},
		{"every IPv4 and IPv4", "0.0.0.0:80", "127.0.0.1:80", true},
		{"every IPv4 and IPv6", "0.0.0.0:80", "[::1]:80", false},
		{"every IPv4 and IPv4 as IPv6", "0.0.0.0:80", "[::ffff:127.0.0.1]:80", true},
		{"IPv4 as IPv6", "127.0.0.1:80", "[::ffff:127.0.0.1]:80", true},
		{"names, in other case", "localhost:80", "LOCALHOST:80", true},
		{"other name", "localhost:80", "localhost6:80", false},
		{"name and address, which only DNS can tell", "localhost:80", "127.0.0.1:80", false},
		{"other zone", "[fe80::1%eth0]:80", "[fe80::1%eth1]:80", false},
		{"same path", "/run/x", "unix:/run/./x", true},
		{"other path", "/run/x", "/run/y", false},
		{"path and port", "/run/x", ":80", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := mustAddress(t, tt.a), mustAddress(t, tt.b)
			if got := config.Conflicts(a, b); got != tt.want {
				t.Errorf("%s conflicts with %s: %v, want %v", a, b, got, tt.want)
			}
			if got := config.Conflicts(b, a); got != tt.want {
				t.Errorf("%s conflicts with %s: %v, want %v", b, a, got, tt.want)
			}
		})
	}
}

// What the table above says about wildcards is what the system does, with the
// network that Bind gives.
func TestBindAgreesWithConflicts(t *testing.T) {
	hosts := []string{"", "0.0.0.0", "[::]", "127.0.0.1", "[::1]"}
	for _, first := range hosts {
		for _, second := range hosts {
			t.Run(first+" "+second, func(t *testing.T) {
				for !agrees(t, first, second) {
				}
			})
		}
	}
}

// agrees reports false if another program has the port that the system chose, on an
// address that it was not asked for.
func agrees(t *testing.T, first, second string) bool {
	t.Helper()
	ln := bind(t, mustAddress(t, first+":0"))
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	a, b := mustAddress(t, first+":"+port), mustAddress(t, second+":"+port)
	err := tryBind(b)
	ln.Close()
	if got := config.Conflicts(a, b); got != (err != nil) {
		if tryBind(b) != nil {
			return false
		}
		t.Errorf("%s conflicts with %s: %v, but listening says %v", a, b, got, err)
	}
	return true
}

func tryBind(a config.Address) error {
	ln, err := net.Listen(a.Bind())
	if err != nil {
		return err
	}
	return ln.Close()
}

func bind(t *testing.T, a config.Address) net.Listener {
	t.Helper()
	ln, err := net.Listen(a.Bind())
	if err != nil {
		t.Skip(err) // no IPv6 here
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func mustAddress(t *testing.T, s string) config.Address {
	t.Helper()
	a, err := config.ParseAddress(s, config.TCP)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{
		"", "80", ":80", "127.0.0.1", "::1", "[::1]", "[::1]:80", "[fe80::1%eth0]:80", "::ffff:1.2.3.4",
		"host:80", "/run/x", "unix:x", "unix:./@x", "@x", "unix:@x", "unix:..//@", "*:80", "host:http",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, m := range []config.Mode{config.TCP, config.HTTP, config.HTTPS, config.FCGI, ""} {
			a, err := config.ParseAddress(s, m)
			if err != nil {
				continue
			}
			again, err := config.ParseAddress(a.String(), m)
			if err != nil || again != a {
				t.Fatalf("ParseAddress(%q) = %#v, but its String %q gives %#v, %v", s, a, a.String(), again, err)
			}
			if !config.Conflicts(a, a) && !strings.HasSuffix(a.Address, ":0") {
				t.Fatalf("%q does not conflict with itself", a)
			}
		}
	})
}

// A port of datagrams is no port of connections, and a path is one file.
func TestConflictsOfDatagrams(t *testing.T) {
	for _, tt := range []struct {
		a, b config.Address
		want bool
	}{
		{config.Address{Network: "tcp", Address: ":53"}, config.Address{Network: "udp", Address: ":53"}, false},
		{config.Address{Network: "udp", Address: ":53"}, config.Address{Network: "udp", Address: "127.0.0.1:53"}, true},
		{config.Address{Network: "unix", Address: "/run/x"}, config.Address{Network: "unixgram", Address: "/run/x"}, true},
		{config.Address{Network: "unix", Address: "/run/x"}, config.Address{Network: "unixgram", Address: "/run/y"}, false},
		{config.Address{Network: "unixgram", Address: "/run/x"}, config.Address{Network: "udp", Address: ":53"}, false},
	} {
		if got := config.Conflicts(tt.a, tt.b); got != tt.want || config.Conflicts(tt.b, tt.a) != tt.want {
			t.Errorf("%s %s conflicts with %s %s: %v, want %v", tt.a.Network, tt.a, tt.b.Network, tt.b, got, tt.want)
		}
	}
}

// What a socket is on may be what a configuration has meant.
func TestMayBe(t *testing.T) {
	for _, tt := range []struct {
		listen, bound string
		want          bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", true},
		{"127.0.0.1:80", "[::]:80", false},
		{"127.0.0.1:80", "127.0.0.2:80", false},
		{"127.0.0.1:80", "127.0.0.1:81", false},
		{"127.0.0.1:0", "127.0.0.1:4711", true},
		{"127.0.0.1:0", "0.0.0.0:4711", false},
		{"[::ffff:127.0.0.1]:80", "127.0.0.1:80", true},
		{":80", "[::]:80", true},
		{":80", "0.0.0.0:80", true},
		{":80", "127.0.0.1:80", false},
		{"localhost:80", "127.0.0.1:80", true},
		{"localhost:80", "10.0.0.1:80", false},
		{"example.org:80", "10.0.0.1:80", true}, // nobody looks
		{"example.org:80", "10.0.0.1:81", false},
		{"example.org:80", "[::]:80", false},
		{"example.org:0", "10.0.0.1:81", true},
	} {
		a := mustAddress(t, tt.listen)
		if got := a.MayBe(config.Address{Network: "tcp", Address: tt.bound}); got != tt.want {
			t.Errorf("%s may be %s: %v, want %v", tt.listen, tt.bound, got, tt.want)
		}
		if a.MayBe(config.Address{Network: "udp", Address: tt.bound}) {
			t.Errorf("%s may be UDP on %s", tt.listen, tt.bound)
		}
	}
}
