package activation_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/activation"
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
		fmt.Println(s.Name, s.Listener.Addr())
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
	found := []string{"web " + addr1, "api " + addr2}
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
	for name, tt := range map[string]struct {
		names string
		files []*os.File
		says  string
	}{
		"two of one name": {"web:web", []*os.File{one, one}, `error systemd passes two sockets named "web", and a group has one`},
		"no stream":       {"web:dns", []*os.File{one, udp}, `error systemd passes a descriptor named "dns" that is no listening stream socket`},
	} {
		if got := run(t, "first", tt.names, tt.files...); !strings.HasPrefix(got[0], tt.says) {
			t.Errorf("%s: got %q, want %q (%s)", name, got, tt.says, addr)
		}
	}
}
