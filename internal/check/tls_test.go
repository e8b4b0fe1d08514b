package check_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// secureConf has one pair for each name, and the first certificate as client_ca.
func secureConf(t *testing.T, dir string, names ...string) *config.Config {
	t.Helper()
	var certs, keys []string
	for _, name := range names {
		certs, keys = append(certs, filepath.Join(dir, name+"-cert.pem")), append(keys, filepath.Join(dir, name+"-key.pem"))
	}
	return parse(t, "[web]\nmode https\nlisten 127.0.0.1:443\ncert %s\nkey %s\nclient_ca %s\n",
		strings.Join(certs, ", "), strings.Join(keys, ", "), certs[0])
}

func writeNamed(t *testing.T, dir, name string, change func(*x509.Certificate)) {
	t.Helper()
	if err := daemon.WriteKeyPairTo(filepath.Join(dir, name+"-key.pem"), filepath.Join(dir, name+"-cert.pem"), change); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, conf *config.Config) *check.TLS {
	t.Helper()
	files, err := check.ReadTLS(conf, &conf.Groups[0], new(int))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestSeveralPairs(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		writeNamed(t, dir, name, func(c *x509.Certificate) { c.DNSNames = []string{name + ".test"} })
	}
	conf := secureConf(t, dir, "a", "b")
	files := read(t, conf)
	if len(files.Pairs) != 2 || files.Pairs[1].Leaf.DNSNames[0] != "b.test" || files.ClientCAs == nil {
		t.Errorf("ReadTLS = %+v, want the pairs of a and b, in this order, and the authorities", files)
	}
	if again := read(t, conf); again.Sum != files.Sum {
		t.Error("the same files have another sum")
	}
	writeNamed(t, dir, "b", func(*x509.Certificate) {})
	if again := read(t, conf); again.Sum == files.Sum {
		t.Error("other files have the same sum")
	}
}

func TestClientCAWithoutCertificate(t *testing.T) {
	dir := t.TempDir()
	writeNamed(t, dir, "a", func(*x509.Certificate) {})
	conf := secureConf(t, dir, "a")
	conf.Groups[0].ClientCA = filepath.Join(dir, "a-key.pem")
	want := conf.File + ":1: [web]: client_ca " + conf.Groups[0].ClientCA + ": no certificate in it"
	if _, err := check.ReadTLS(conf, &conf.Groups[0], new(int)); err == nil || err.Error() != want {
		t.Errorf("ReadTLS: %v, want %s", err, want)
	}
}

func TestValid(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		change func(*x509.Certificate)
		want   string
	}{
		"good":     {func(*x509.Certificate) {}, ""},
		"expired":  {func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }, "it expired on "},
		"too soon": {func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }, "it is not valid before "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeNamed(t, dir, "a", func(*x509.Certificate) {})
			writeNamed(t, dir, "b", test.change)
			conf := secureConf(t, dir, "a", "b")
			err := read(t, conf).Valid(conf, &conf.Groups[0], now)
			where := conf.File + ":1: [web]: cert " + conf.Groups[0].Pairs[1].Cert + ": " + test.want
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), where)) {
				t.Errorf("Valid: %v, want %q", err, test.want)
			}
			if all := check.Config(conf); (all == nil) != (err == nil) {
				t.Errorf("Config: %v, want what Valid says: %v", all, err)
			}
		})
	}
}

func TestRenews(t *testing.T) {
	for name, test := range map[string]struct {
		names []string
		ok    bool
	}{
		"the same name":      {[]string{"a.example.test"}, true},
		"one name more":      {[]string{"b.test", "a.example.test"}, true},
		"all names like it":  {[]string{"*.example.test"}, true},
		"in capitals":        {[]string{"A.Example.Test"}, true},
		"all names above it": {[]string{"*.test"}, false},
		"another name":       {[]string{"b.test"}, false},
		"no name":            {nil, false},
		"a name of the kind": {[]string{"b.example.test"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			named := func(names []string) func(*x509.Certificate) {
				return func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = names, []net.IP(nil) }
			}
			writeNamed(t, dir, "a", named([]string{"a.example.test"}))
			conf := secureConf(t, dir, "a")
			old := read(t, conf)
			writeNamed(t, dir, "a", named(test.names))
			err := read(t, conf).Renews(conf, &conf.Groups[0], old)
			if (err == nil) != test.ok || err != nil && !strings.Contains(err.Error(), "and the one that serves for a.example.test: ") {
				t.Errorf("Renews: %v, want that it does: %v", err, test.ok)
			}
		})
	}
}

// padded makes the file a mebibyte long, and leaves what is in it as it was.
func padded(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, append(data, bytes.Repeat([]byte("\n"), 1<<20-len(data))...))
}

// The files of all groups are bounded together, whether one group names many or many groups one; and that is said once.
func TestFilesAreBoundedTogether(t *testing.T) {
	dir := t.TempDir()
	writeNamed(t, dir, "a", func(*x509.Certificate) {})
	cert, key := filepath.Join(dir, "a-cert.pem"), filepath.Join(dir, "a-key.pem")
	padded(t, cert)
	group := func(name string, n int) string {
		files := func(path string) string { return strings.TrimSuffix(strings.Repeat(path+",", n), ",") }
		return fmt.Sprintf("[%s]\nmode https\nlisten %s.test:443\ncert %s\nkey %s\n", name, name, files(cert), files(key))
	}
	if err := check.Config(parse(t, "%s", group("a", 8)+group("b", 7))); err != nil {
		t.Errorf("15 MiB and some keys: %v", err)
	}
	for _, text := range []string{group("a", 16), group("a", 999), group("a", 8) + group("b", 8) + group("c", 8)} {
		err := check.Config(parse(t, "%s", text))
		if want := "the files of TLS that the configuration names have more than 16777216 bytes together"; err == nil || strings.Count(err.Error(), want) != 1 {
			t.Errorf("Config: %v, want once that %s", err, want)
		}
	}
}

// Certificates of many names are compared without trying each with each.
func TestRenewsManyNames(t *testing.T) {
	dir := t.TempDir()
	conf := secureConf(t, dir, "a")
	named := func(format string) *check.TLS {
		writeNamed(t, dir, "a", func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses = nil, nil
			for i := range 1500 {
				c.DNSNames = append(c.DNSNames, fmt.Sprintf(format, i))
			}
		})
		return read(t, conf)
	}
	old, renewed := named("%d.old.test"), named("%d.new.test")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := renewed.Renews(conf, &conf.Groups[0], old)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; err == nil || n > 16<<20 {
		t.Errorf("Renews: no error: %v, and %d MiB", err == nil, n>>20)
	}
}
