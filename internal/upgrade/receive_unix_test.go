//go:build unix

package upgrade

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// longPayload has n bytes, 2 at least.
func longPayload(n int) json.RawMessage { return json.RawMessage(`"` + strings.Repeat("x", n-2) + `"`) }

func TestBootstrapRefusesTooMuch(t *testing.T) {
	m := newTestConn(t)
	long := testManifest
	long.Payload = longPayload(maxMessage)
	if err := m.send(long, nil, nil); err == nil || !strings.Contains(err.Error(), "the bootstrap channel holds 65536") {
		t.Errorf("send of a long manifest: %v", err)
	}
	broken := testManifest
	broken.Payload = json.RawMessage("{")
	if err := m.send(broken, nil, nil); err == nil || !strings.Contains(err.Error(), "encode manifest: ") {
		t.Errorf("send of a payload that is no JSON: %v", err)
	}
	closed, _ := newPipe(t)
	closed.Close()
	if err := m.send(testManifest, map[string]*os.File{"lock": closed}, nil); err == nil || !strings.Contains(err.Error(), "pass lock: ") {
		t.Errorf("send of a closed file: %v", err)
	}
}

// What send takes, receive can read.
func TestBootstrapTakesItsLimits(t *testing.T) {
	m := newTestConn(t)
	large := testManifest
	_, w := newPipe(t)
	files := make(map[string]*os.File)
	for i := range maxMessageFDs {
		files[fmt.Sprint(i)] = w
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	large.Payload = longPayload(2)
	rest := maxMessage - len(encode(t, header{Manifest: encode(t, large), Files: names}))
	large.Payload = longPayload(2 + rest)
	if err := m.send(large, files, nil); err != nil {
		t.Fatal(err)
	}
	l, err := m.receive()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(l.manifest.Payload, large.Payload) || len(l.files) != len(files) {
		t.Errorf("received a payload of %d bytes and %d files, want %d and %d",
			len(l.manifest.Payload), len(l.files), len(large.Payload), len(files))
	}
	for _, f := range l.files {
		f.Close()
	}
}

// A daemon with hundreds of groups has more sockets than fit into one datagram.
func TestBootstrapCarriesMoreThanOneDatagram(t *testing.T) {
	m := newTestConn(t)
	r, w := newPipe(t)
	fd, err := fdpass.Number(w)
	if err != nil {
		t.Fatal(err)
	}
	sockets := make(map[string]int)
	for i := range 2*maxMessageFDs + 5 {
		sockets[fmt.Sprint("1.", i)] = fd
	}
	if err := m.send(testManifest, map[string]*os.File{"lock": w}, sockets); err != nil {
		t.Fatal(err)
	}
	l, err := m.receive()
	if err != nil {
		t.Fatal(err)
	}
	if len(l.files) != 1 || len(l.sockets.fds) != len(sockets) || !reflect.DeepEqual(l.manifest, testManifest) {
		t.Errorf("received %d files, %d sockets and %+v, want 1, %d and %+v", len(l.files), len(l.sockets.fds), l.manifest, len(sockets), testManifest)
	}
	w.Close()
	l.close()
	if !isAtEnd(t, r) {
		t.Error("a descriptor is left open")
	}
}

// What has come before is closed when the rest does not come.
func TestReceiveClosesHalfAMessage(t *testing.T) {
	m := newTestConn(t)
	r, w := newPipe(t)
	fd, err := fdpass.Number(w)
	if err != nil {
		t.Fatal(err)
	}
	first := encode(t, header{Manifest: encode(t, testManifest), Files: []string{"socket 1.1"}, More: 1})
	m.write(t, string(first), fd)
	w.Close()
	if _, err := m.receive(); err == nil || !strings.Contains(err.Error(), "not all files from the previous generation") {
		t.Errorf("receive: %v", err)
	}
	if !isAtEnd(t, r) {
		t.Error("the descriptor is still open")
	}
}

// A bootstrap message that cannot be read must not leave its descriptors open.
func TestReceiveClosesWhatItCannotUse(t *testing.T) {
	good := string(encode(t, testManifest))
	tests := []struct{ name, data, says string }{
		{"garbage", "hello", "invalid character"},
		{"nothing", "", "unexpected end of JSON input"},
		{"more files than names", `{"manifest":` + good + `}`, "names 0 files and sent 1"},
		{"more names than files", `{"manifest":` + good + `,"files":["a","b"]}`, "names 2 files and sent 1"},
		{"no manifest", `{"files":["a"]}`, "unexpected end of JSON input"},
		{"a manifest that is null", `{"manifest":null,"files":["a"]}`, "sends version 0 "},
		{"a number of more that is none", `{"manifest":` + good + `,"files":["a"],"more":{}}`, "cannot unmarshal object"},
		{"another version", `{"manifest":{"version":9},"files":["a"]}`, "sends version 9 "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := newTestConn(t)
			r, w := newPipe(t)
			fd, err := fdpass.Number(w)
			if err != nil {
				t.Fatal(err)
			}
			m.write(t, test.data, fd)
			w.Close()
			if _, err := m.receive(); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("receive: %v, want %q", err, test.says)
			}
			if !isAtEnd(t, r) {
				t.Error("the descriptor is still open")
			}
		})
	}
}

// A parent of another version hears why it is refused: of what it has sent only the report is kept.
func TestReceiveFromAnotherVersion(t *testing.T) {
	m := newTestConn(t)
	report, ours := newPipe(t)
	lock, locks := newPipe(t)
	other := testManifest
	other.Version--
	if err := m.send(other, map[string]*os.File{fileReport: ours, "lock": locks}, nil); err != nil {
		t.Fatal(err)
	}
	ours.Close()
	locks.Close()
	l, err := m.receive()
	if err == nil || !strings.HasSuffix(err.Error(), "version 1 of the manifest, and this binary reads version 2: restart instead of upgrading") || l == nil || len(l.files) != 1 {
		t.Fatalf("receive = %+v, %v", l, err)
	}
	if !isAtEnd(t, lock) {
		t.Error("a file that nobody will use is still open")
	}
	p := &parent{}
	p.take(l)
	p.report.Fail(StageStart, err)
	if reports, err := io.ReadAll(report); err != nil || !strings.Contains(string(reports), "this binary reads version 2") {
		t.Errorf("the parent hears %q, %v", reports, err)
	}
}

func FuzzMessage(f *testing.F) {
	good := encode(f, testManifest)
	f.Add(encode(f, header{Manifest: good}), uint8(0))
	f.Add(encode(f, header{Manifest: good, Files: []string{"gozd-report", "lock"}}), uint8(2))
	f.Add(encode(f, header{Manifest: good, Files: []string{"lock", "lock"}}), uint8(2))
	f.Add(encode(f, header{Manifest: good, Files: []string{"socket 1.1", "socket 1.1", "socket "}, More: 3}), uint8(3))
	f.Add([]byte(`{"manifest":null,"files":[""]}`), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, n uint8) {
		fds := openSome(t, int(n%4))
		l, _, err := decodeMessage(data, fds)
		if err != nil {
			fdpass.Close(fds) // as receive does; they must still be open
			return
		}
		if got := len(l.files) + len(l.sockets.fds); got > len(fds) {
			t.Errorf("%d files and sockets of %d descriptors", got, len(fds))
		}
		for id, fd := range l.sockets.fds {
			if err := unix.Close(fd); err != nil {
				t.Errorf("socket %q: %v", id, err)
			}
		}
		for name, file := range l.files {
			if err := file.Close(); err != nil {
				t.Errorf("file %q: %v", name, err)
			}
		}
	})
}

func openSome(t *testing.T, n int) []int {
	t.Helper()
	var fds []int
	for range n {
		fd, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
	}
	return fds
}
