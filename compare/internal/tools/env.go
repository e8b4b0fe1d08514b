//go:build linux

package tools

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Env is what all tools share: a directory, a key pair, and the source of the programs.
type Env struct {
	dir    string
	source string // directory of the module
	Cert   string
	Key    string
	roots  *x509.CertPool
	dirs   int
}

// NewEnv prepares dir, which the caller removes. The programs are built from the
// module in source.
func NewEnv(dir, source string) (*Env, error) {
	if err := adoptOrphans(); err != nil {
		return nil, fmt.Errorf("adopt orphans: %w", err)
	}
	e := &Env{dir: dir, source: source, Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	if err := e.makeKeyPair(); err != nil {
		return nil, fmt.Errorf("key pair in %s: %w", dir, err)
	}
	return e, nil
}

// ClientTLS is what a client needs to believe the tools.
func (e *Env) ClientTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: e.roots, ServerName: "localhost"}
}

func (e *Env) makeKeyPair() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	e.roots = x509.NewCertPool()
	e.roots.AppendCertsFromPEM(cert)
	if err := os.WriteFile(e.Cert, cert, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(e.Key, keyPEM, 0o600); err != nil {
		return err
	}
	// HAProxy wants both in one file.
	return os.WriteFile(e.pair(), append(cert, keyPEM...), 0o600)
}

func (e *Env) pair() string { return filepath.Join(e.dir, "pair.pem") }

func (e *Env) newDir() (string, error) {
	e.dirs++
	dir := filepath.Join(e.dir, fmt.Sprintf("run%d", e.dirs))
	return dir, os.Mkdir(dir, 0o700)
}

// build builds the program of that name once, and returns its path.
func (e *Env) build(ctx context.Context, name string) (string, error) {
	binary := filepath.Join(e.dir, name)
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	return binary, e.goCommand(ctx, e.source, "build", "-o", binary, "./programs/"+name)
}

// buildApart builds a program that is a module of its own. What go.mod and go.sum
// get while that happens is written into the working directory, not into the source.
func (e *Env) buildApart(ctx context.Context, name string, replace map[string]string) (string, error) {
	binary := filepath.Join(e.dir, name)
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	source := filepath.Join(e.source, "programs", name)
	mod, err := os.ReadFile(filepath.Join(source, "go.mod"))
	if err != nil {
		return "", err
	}
	modfile := filepath.Join(e.dir, name+".mod")
	for old, dir := range replace {
		mod = fmt.Appendf(mod, "\nreplace %s => %s\n", old, dir)
	}
	if err := os.WriteFile(modfile, mod, 0o600); err != nil { //nolint:gosec // the names are those of this source
		return "", err
	}
	if err := e.goCommand(ctx, source, "build", "-mod=mod", "-modfile="+modfile, "-o", binary, "."); err != nil {
		return "", fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return binary, nil
}

func (e *Env) goCommand(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s of %s: %w: %s", args[0], filepath.Base(args[len(args)-2]), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// revision says which gozd this is.
func (e *Env) revision(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "-C", e.source, "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "of this source" // which may be no clone
	}
	return "commit " + strings.TrimSpace(string(out))
}

// installed returns the path of another's program.
func installed(name, hint string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin/", "/usr/local/sbin/"} {
		if err == nil {
			break
		}
		path, err = exec.LookPath(dir + name)
	}
	if err != nil {
		return "", fmt.Errorf("%w: no %s (%s)", ErrMissing, name, hint)
	}
	return path, nil
}

// firstLine is what a program says of itself.
func firstLine(ctx context.Context, name string, args ...string) string {
	out, _ := exec.CommandContext(ctx, name, args...).CombinedOutput() // one that fails says why
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
