package check_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// writePair writes a certificate and its key into dir.
func writePair(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+"-cert.pem"), filepath.Join(dir, name+"-key.pem")
	write(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER}))
	write(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	return cert, key
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// parse reads a configuration whose text is good.
func parse(t *testing.T, format string, args ...any) *config.Config {
	t.Helper()
	conf, err := config.Parse("/etc/app.conf", fmt.Appendf(nil, format, args...), config.Options{Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

func TestGoodConfig(t *testing.T) {
	cert, key := writePair(t, t.TempDir(), "good")
	conf := parse(t, "[web]\nmode https\nlisten 127.0.0.1:443\ncert %s\nkey %s\n[plain]\nmode http\nlisten 127.0.0.1:80\n", cert, key)
	if err := check.Config(conf); err != nil {
		t.Error(err)
	}
	files, err := check.ReadTLS(conf, &conf.Groups[0], new(int))
	if err != nil || len(files.Pairs) != 1 || files.ClientCAs != nil {
		t.Errorf("ReadTLS = %v, %v", files, err)
	}
	if files, err := check.ReadTLS(conf, &conf.Groups[1], new(int)); len(files.Pairs) > 0 || err != nil {
		t.Errorf("ReadTLS of a group without TLS = %v, %v", files, err)
	}
	if id, err := check.Identity(conf); id != nil || err != nil {
		t.Errorf("Identity = %v, %v, want none", id, err)
	}
}

func TestReadTLSFails(t *testing.T) {
	dir := t.TempDir()
	cert, key := writePair(t, dir, "good")
	_, otherKey := writePair(t, dir, "other")
	missing, garbage := filepath.Join(dir, "missing.pem"), filepath.Join(dir, "garbage.pem")
	write(t, garbage, []byte("hello"))
	tests := []struct {
		name, cert, key string
		is              error
		says            string
	}{
		{"certificate is missing", missing, key, fs.ErrNotExist, missing},
		{"key is missing", cert, missing, fs.ErrNotExist, missing},
		{"key of another certificate", cert, otherKey, nil, "private key does not match public key"},
		{"certificate is garbage", garbage, key, nil, "failed to find any PEM data"},
		{"both are swapped", key, cert, nil, "PEM"},
		{"certificate is a directory", dir, key, nil, dir},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conf := parse(t, "\n\n[web]\nmode https\nlisten 127.0.0.1:443\ncert %s\nkey %s\n", test.cert, test.key)
			files, err := check.ReadTLS(conf, &conf.Groups[0], new(int))
			if files != nil || err == nil {
				t.Fatalf("ReadTLS = %v, %v, want an error", files, err)
			}
			where := conf.File + ":3: [web]: cert " + test.cert + " and key " + test.key + ": "
			if !strings.HasPrefix(err.Error(), where) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("ReadTLS: %v, want %s...%s", err, where, test.says)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("ReadTLS: %v does not wrap %v", err, test.is)
			}
			if all := check.Config(conf); all == nil || all.Error() != err.Error() {
				t.Errorf("Config = %v, want %v", all, err)
			}
		})
	}
}

func TestOwner(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no owners on Windows")
	}
	me, err := user.Current()
	if err != nil {
		t.Skip("no account: ", err)
	}
	uid, err := strconv.Atoi(me.Uid)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		owner    string
		uid, gid int
	}{
		{"", -1, -1},
		{me.Username, uid, -1},
		{me.Uid, uid, -1},
		{"54321", 54321, -1},
		{me.Username + ":54322", uid, 54322},
		{"54321:54322", 54321, 54322},
	}
	for _, test := range tests {
		g := &config.Group{Name: "web", SocketOwner: test.owner}
		uid, gid, err := check.Owner(&config.Config{}, g)
		if err != nil || uid != test.uid || gid != test.gid {
			t.Errorf("Owner of %q = %d, %d, %v, want %d, %d", test.owner, uid, gid, err, test.uid, test.gid)
		}
	}
	for daemon, want := range map[string][2]int{"group = \"54322\"": {os.Geteuid(), 54322}, "user = \"54321\"\ngroup = \"54322\"": {54321, 54322}} {
		conf := parse(t, "[gozd]\n%s\n[web]\nmode http\nlisten /run/x.sock\n", daemon)
		if uid, gid, err := check.Owner(conf, &conf.Groups[0]); err != nil || uid != want[0] || gid != want[1] {
			t.Errorf("Owner with %s = %d, %d, %v, want %v", daemon, uid, gid, err, want)
		}
	}
	conf := parse(t, "[gozd]\nuser no-such-user\n[web]\nmode http\nlisten /run/x.sock\n")
	if uid, gid, err := check.Owner(conf, &conf.Groups[0]); uid != -1 || gid != -1 || err == nil || !strings.Contains(err.Error(), `[gozd]: user "no-such-user"`) {
		t.Errorf("Owner of a user's that is not known = %d, %d, %v", uid, gid, err)
	}
	for _, owner := range []string{"no-such-user", "no-such-user:0", "0:no-such-group"} {
		conf := parse(t, "[web]\nmode http\nlisten /run/x.sock\nsocket_owner %s\n", owner)
		uid, gid, err := check.Owner(conf, &conf.Groups[0])
		if want := conf.File + `:1: [web]: socket_owner "` + owner + `": `; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("Owner of %q: %v, want %s", owner, err, want)
		}
		if uid != -1 || gid != -1 {
			t.Errorf("Owner of %q = %d, %d beside an error", owner, uid, gid)
		}
	}
}

// onlyLinux is the complaint of the systems that cannot do what Linux can.
func onlyLinux(complaint string) string {
	if runtime.GOOS == "linux" {
		return ""
	}
	return complaint
}

func TestAvailable(t *testing.T) {
	tests := []struct{ line, says string }{
		{"supervise yes", onlyLinux("/etc/app.conf: [gozd]: supervise yes needs Linux")},
		{"probation 5s", ""},
		{"supervise no", ""},
		{"supervise auto", ""},
	}
	for _, test := range tests {
		conf := parse(t, "[gozd]\n%s\n[web]\nmode http\nlisten 127.0.0.1:80\n", test.line)
		err := check.Available(conf)
		if got := fmt.Sprint(err); err != nil && got != filepath.FromSlash(test.says) || (err == nil) != (test.says == "") {
			t.Errorf("Available with %q: %v, want %q", test.line, err, test.says)
		}
	}
}

// Whoever corrects a configuration wants to see all mistakes at once.
func TestConfigTellsAll(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no users to look up on Windows")
	}
	conf := parse(t, `[gozd]
user       no-such-user
max_files  64
[one]
mode    https
listen  127.0.0.1:443
cert    /missing/cert.pem
key     /missing/key.pem
[two]
mode          http
listen        /run/x.sock
socket_owner  no-such-user
[three]
mode    https
listen  127.0.0.1:444
cert    /missing/cert.pem
key     /missing/key.pem
`)
	err := check.Config(conf)
	if err == nil {
		t.Fatal("Config = nil")
	}
	got := strings.Split(err.Error(), "\n")
	want := []string{":4: [one]: cert", ":9: [two]: socket_owner", ":13: [three]: cert", `[gozd]: user "no-such-user"`}
	if len(got) != len(want) {
		t.Fatalf("Config says %q, want %d lines", got, len(want))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], conf.File) || !strings.Contains(got[i], want[i]) {
			t.Errorf("line %d is %q, want %q", i+1, got[i], want[i])
		}
	}
}

func TestInGroupWithoutALine(t *testing.T) {
	cause := errors.New("cause")
	err := check.InGroup(&config.Config{File: "app.yaml"}, &config.Group{Name: "web"}, cause)
	if !errors.Is(err, cause) || err.Error() != "app.yaml: [web]: cause" {
		t.Errorf("InGroup = %v", err)
	}
}

func TestUnknownIdentity(t *testing.T) {
	conf := &config.Config{File: "app.conf", Daemon: config.Daemon{Group: "no-such-group"}}
	id, err := check.Identity(conf)
	if id != nil || err == nil || !strings.HasPrefix(err.Error(), "app.conf: [gozd]: ") {
		t.Errorf("Identity = %v, %v", id, err)
	}
}
