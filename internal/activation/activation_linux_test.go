package activation_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/activation"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// roleEnv has this binary, started again, be a process that systemd has started.
const roleEnv = "GOZD_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "":
		os.Exit(m.Run())
	case "first":
		// As systemd does it between fork and exec, where the PID is known.
		must(os.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid())))
		show(true)
	case "of another":
		must(os.Setenv("LISTEN_PID", "1"))
		show(false)
	case "next":
		show(false)
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// show prints what Take has found, and that of a process to which it has been passed on.
func show(passOn bool) {
	sockets, err := activation.Take()
	if err != nil {
		fmt.Println("error", err)
	}
	for _, s := range sockets {
		if s.Socket == nil {
			fmt.Println(s.Name, "nothing", s.Inode())
			continue
		}
		fmt.Println(s.Name, s.Socket.Addr(), s.Inode() != 0)
	}
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "LISTEN_") || strings.HasPrefix(v, "GOZD_SOCKETS") {
			fmt.Println("left", v)
		}
	}
	if passOn {
		cmd := exec.Command(os.Args[0])
		files, env := activation.Pass(sockets, 4)
		cmd.ExtraFiles = append([]*os.File{os.Stdin}, files...)
		cmd.Env = append(append(os.Environ(), roleEnv+"=next"), env...)
		out, err := cmd.CombinedOutput()
		must(err)
		fmt.Printf("next:\n%s", out)
	}
	activation.Close(sockets)
}

// run starts a process with descriptors from 3 on, and returns what it has found.
func run(t *testing.T, role, names string, files ...*os.File) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.ExtraFiles = files
	cmd.Env = append(os.Environ(), roleEnv+"="+role, fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES="+names)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// listen returns a listening socket's descriptor, and its address.
func listen(t *testing.T, network, address string) (*os.File, string) {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	filer, ok := ln.(interface{ File() (*os.File, error) })
	if !ok {
		t.Fatal(errors.ErrUnsupported)
	}
	f, err := filer.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, ln.Addr().String()
}

func TestTake(t *testing.T) {
	one, addr1 := listen(t, "tcp", "127.0.0.1:0")
	two, addr2 := listen(t, "unix", "@gozd-activation-"+fmt.Sprint(os.Getpid()))
	found := []string{"web " + addr1 + " true", "api " + addr2 + " true"}
	got := run(t, "first", "web:api", one, two)
	if want := slices.Concat(found, []string{"next:"}, found); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := run(t, "of another", "web:api", one, two); !slices.Equal(got, []string{""}) {
		t.Errorf("a process takes what is another's: %q", got)
	}
}

func TestTakeRefuses(t *testing.T) {
	one, addr := listen(t, "tcp", "127.0.0.1:0")
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packets.Close() }()
	udp, err := packets.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = udp.Close() }()
	if got := run(t, "first", "dns:web", udp, one); !slices.Equal(got[:2], []string{"dns " + packets.LocalAddr().String() + " true", "web " + addr + " true"}) {
		t.Errorf("a socket of datagrams: got %q", got)
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	sequence, other := os.NewFile(uintptr(pair[0]), "one"), os.NewFile(uintptr(pair[1]), "other")
	defer func() { _, _ = sequence.Close(), other.Close() }()
	for name, tt := range map[string]struct {
		names string
		files []*os.File
		says  string
	}{
		"two of one name": {"web:web", []*os.File{one, one}, `error systemd passes two sockets named "web", and a group has one`},
		"a sequence":      {"web:dns", []*os.File{one, sequence}, `error systemd passes a descriptor named "dns" that is no socket of ListenStream= or ListenDatagram=: a socket of type 5 is`},
	} {
		if got := run(t, "first", tt.names, tt.files...); !strings.HasPrefix(got[0], tt.says) {
			t.Errorf("%s: got %q, want %q (%s)", name, got, tt.says, addr)
		}
	}
}

// What the daemon itself has had systemd keep is never an error: it comes back even if it is of no use.
func TestTakeStored(t *testing.T) {
	one, addr := listen(t, "tcp", "127.0.0.1:0")
	two, addr2 := listen(t, "tcp", "127.0.0.1:0")
	pipe, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = pipe.Close(), other.Close() }()
	got := run(t, "first", "web:gozd-web@%3A80:gozd-web@%3A80:gozd-api@%3A81", one, two, one, pipe)
	found := []string{"web " + addr + " true", "gozd-web@%3A80 " + addr2 + " true", "gozd-web@%3A80 " + addr + " true"}
	if want := slices.Concat(found, []string{"gozd-api@%3A81 nothing 0", "next:"}, found); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStoredNames(t *testing.T) {
	for _, tt := range []struct{ group, address, name string }{
		{"web", "127.0.0.1:80", "gozd-web@127.0.0.1%3A80"},
		{"web", ":0", "gozd-web@%3A0"},
		{"a-b.c_d", "/run/a b/%41@x\n\u00fc.sock", "gozd-a-b.c_d@/run/a%20b/%2541@x%0A%C3%BC.sock"},
		{"web", "@abstract", "gozd-web@@abstract"},
	} {
		name, err := activation.StoredName(tt.group, tt.address)
		if err != nil || name != tt.name {
			t.Errorf("StoredName(%q, %q) = %q, %v, want %q", tt.group, tt.address, name, err, tt.name)
		}
		group, address, ok := activation.Socket{Name: name}.Stored()
		if !ok || group != tt.group || address != tt.address {
			t.Errorf("%q is taken for that of %q on %q, %v", name, group, address, ok)
		}
	}
	for _, name := range []string{"web", "", "gozd-web", "stored", "gozd-web@%zz"} {
		if (activation.Socket{Name: name}).IsStored() {
			t.Errorf("%q is taken for one of the daemon's own", name)
		}
	}
	if name, err := activation.StoredName("web", "/"+strings.Repeat("\u00fc", 50)); err == nil {
		t.Errorf("a name is longer than systemd takes: %q", name)
	}
}

// A socket that is not needed any more refuses its clients, though systemd still has it.
func TestDiscard(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		address := map[string]string{"tcp": "127.0.0.1:0", "unix": t.TempDir() + "/x.sock"}[network]
		ln, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ln.Close() }()
		if u, ok := ln.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		filer := ln.(interface{ File() (*os.File, error) })
		kept, err := filer.File() // as systemd has it
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = kept.Close() }()
		activation.Socket{Name: "gozd-web@x", Socket: ln.(socket.Socket)}.Discard()
		if c, err := net.Dial(network, ln.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: a client is told %v, %v", network, c, err)
		}
	}
}
