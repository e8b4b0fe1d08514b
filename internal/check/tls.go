package check

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// TLS is what the files of an https group have.
type TLS struct {
	Pairs       []tls.Certificate // in the configuration's order; each has its Leaf
	ClientCAs   *x509.CertPool    // nil without client_ca
	ClientCAPEM []byte            // of ClientCAs
	Sum         [sha256.Size]byte // of the files' content, which tells what has been renewed
	Size        int               // of all files, in bytes

	certs []string // the files of Pairs
}

// maxPEM bounds a file of certificates or with a key, in bytes. A chain has some ten thousand.
const maxPEM = 1 << 20

// maxAllPEM bounds all such files of a configuration together. What is in them is kept, parsed, and takes several times as much: another user
// who has written the configuration, or the files, should not have all of a reader's memory. It has room for a thousand pairs with chains.
const maxAllPEM = 16 << 20

var errAllPEM = fmt.Errorf("the files of TLS that the configuration names have more than %d bytes together", maxAllPEM)

// ReadTLS reads the files of an https group, and adds their bytes to all, which has those of the other groups. A group without any has
// an empty result. The error says where the configuration names the files.
func ReadTLS(conf *config.Config, g *config.Group, all *int) (*TLS, error) {
	t := new(TLS)
	before := *all
	defer func() { t.Size = *all - before }()
	for _, p := range g.Pairs {
		if err := t.addPair(p, all); err != nil {
			return nil, InGroup(conf, g, fmt.Errorf("cert %s and key %s: %w", p.Cert, p.Key, err))
		}
	}
	if g.ClientCA != "" {
		if err := t.addClientCA(g.ClientCA, all); err != nil {
			return nil, InGroup(conf, g, fmt.Errorf("client_ca %s: %w", g.ClientCA, err))
		}
	}
	return t, nil
}

// addPair is tls.LoadX509KeyPair, which would wait for the other end of a FIFO.
func (t *TLS) addPair(p config.KeyPair, all *int) error {
	cert, err := t.read(p.Cert, all)
	if err != nil {
		return err
	}
	key, err := t.read(p.Key, all)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return err
	}
	if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil { // there is none by GODEBUG=x509keypairleaf=0
		return err
	}
	t.Pairs, t.certs = append(t.Pairs, pair), append(t.certs, p.Cert)
	return nil
}

func (t *TLS) addClientCA(path string, all *int) (err error) {
	if t.ClientCAPEM, err = t.read(path, all); err != nil {
		return err
	}
	t.ClientCAs = x509.NewCertPool()
	if !t.ClientCAs.AppendCertsFromPEM(t.ClientCAPEM) {
		return errors.New("no certificate in it")
	}
	return nil
}

// read reads a file into the sum, too, and adds its bytes to all.
func (t *TLS) read(path string, all *int) ([]byte, error) {
	data, err := process.ReadFile(path, maxPEM)
	*all += len(data) // after an error, too
	if err != nil {
		return nil, err
	}
	if *all > maxAllPEM {
		return nil, errAllPEM
	}
	sum := sha256.Sum256(data)
	t.Sum = sha256.Sum256(append(t.Sum[:], sum[:]...))
	return data, nil
}

// Valid says which certificate clients would refuse at the time now, whatever they trust.
func (t *TLS) Valid(conf *config.Config, g *config.Group, now time.Time) error {
	for i, pair := range t.Pairs {
		var err error
		switch leaf := pair.Leaf; {
		case now.After(leaf.NotAfter):
			err = fmt.Errorf("cert %s: it expired on %s", t.certs[i], leaf.NotAfter.UTC().Format(time.DateTime))
		case now.Before(leaf.NotBefore):
			err = fmt.Errorf("cert %s: it is not valid before %s", t.certs[i], leaf.NotBefore.UTC().Format(time.DateTime))
		}
		if err != nil {
			return InGroup(conf, g, err)
		}
	}
	return nil
}

// Renews refuses what has nothing to do with old any more: a certificate in whose place there is one for none of its names was not
// renewed.
func (t *TLS) Renews(conf *config.Config, g *config.Group, old *TLS) error {
	for i, pair := range t.Pairs {
		was, is := names(old.Pairs[i].Leaf), names(pair.Leaf)
		if len(was) > 0 && !anyFits(was, is) {
			return InGroup(conf, g, fmt.Errorf("cert %s: it is for %s, and the one that serves for %s: an upgrade takes it",
				t.certs[i], cmp.Or(strings.Join(is, ", "), "no name"), strings.Join(was, ", ")))
		}
	}
	return nil
}

// anyFits reports whether patterns, which can have wildcards, fit one of names. Each may have as many as a file of certificates has room for.
func anyFits(names, patterns []string) bool {
	has := make(map[string]bool, len(patterns))
	for _, p := range patterns {
		has[strings.ToLower(p)] = true
	}
	return slices.ContainsFunc(names, func(name string) bool {
		name = strings.ToLower(name)
		_, domain, _ := strings.Cut(name, ".")
		return has[name] || domain != "" && has["*."+domain]
	})
}

func names(leaf *x509.Certificate) []string {
	all := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}
