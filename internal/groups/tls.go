package groups

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// TLS is what the groups of mode https have of TLS, renewed while they serve: certificates, and the secrets of session tickets. Without such groups it
// passes the parent's secrets on, and does nothing. Its methods are safe for concurrent use.
type TLS struct {
	conf *config.Config
	log  *slog.Logger
	all  []*secure // complete when Claim returns

	rotation *tickets.Rotator                 // of the secrets; nil, of which all methods can be called, without groups
	secrets  atomic.Pointer[[]tickets.Secret] // for successors, too; what it points to never changes

	mu     sync.Mutex  // guards the renewal of groups, and what follows; taken while rotation calls, and held while files are read
	looks  *time.Timer // at files; nil without any
	paused bool        // there are none for a while
}

// secure is what a group of mode https has of TLS. Its listener comes later than the rest, and its configuration is
// the one that counts.
type secure struct {
	*listener.TLSListener
	conf  *config.Group
	first *tls.Config // of the listener

	pairs, ca bool   // the certificates, and the authorities of clients' ones, are those of the files: the program has left them so
	own       string // goes into the keys of sessions that go on in no successor; "" where they do
	renewal
}

// claimTLS reads the files of an https group, and asks the program; it returns nil for another mode. A first generation serves by a
// certificate that has expired, since nobody else would serve; a later one leaves that to the one before.
func (c *claiming) claimTLS(g *config.Group) (*secure, error) {
	if g.Mode != config.HTTPS {
		return nil, nil
	}
	seen := look(g)
	files, err := check.ReadTLS(c.opts.Conf, g, &c.read)
	if err != nil {
		return nil, err
	}
	if err := files.Valid(c.opts.Conf, g, time.Now()); err != nil && c.opts.isFirst() {
		c.opts.Log.Error("clients will refuse a certificate", "error", err)
	} else if err != nil {
		return nil, err
	}
	conf := baseConfig(g, files) // with what is the program's to change
	if c.opts.TLS != nil {
		if own := c.opts.TLS(g.Name, conf); own != nil {
			conf = own
		}
		conf = conf.Clone() // the program may have it elsewhere, too
	}
	if len(conf.Certificates) == 0 && conf.GetCertificate == nil && conf.GetConfigForClient == nil {
		return nil, check.InGroup(c.opts.Conf, g, errors.New("no certificate: the configuration has neither key nor cert, and the program's Options.TLS none of its own"))
	}
	if slices.ContainsFunc(conf.Certificates, func(cert tls.Certificate) bool { return len(cert.Certificate) == 0 }) {
		return nil, check.InGroup(c.opts.Conf, g, errors.New("the program's Options.TLS has an empty certificate"))
	}
	s := &secure{conf: g, first: conf, renewal: renewal{seen: seen, files: files}}
	s.pairs = len(files.Pairs) > 0 && slices.EqualFunc(conf.Certificates, files.Pairs, isVery)
	s.ca = files.ClientCAs != nil && files.ClientCAs.Equal(conf.ClientCAs)
	// crypto/tls does not ask VerifyPeerCertificate where a session is resumed.
	if conf.ClientAuth != tls.NoClientCert && (!s.ca || conf.VerifyPeerCertificate != nil) {
		s.own = "\x00" + rand.Text()
	}
	return s, nil
}

// isVery reports whether a is b as it was read, and not something of the program's with the same content.
func isVery(a, b tls.Certificate) bool {
	return len(a.Certificate) > 0 && len(b.Certificate) > 0 && &a.Certificate[0][0] == &b.Certificate[0][0]
}

// baseConfig is what the configuration has for a group.
func baseConfig(g *config.Group, files *check.TLS) *tls.Config {
	conf := &tls.Config{
		Certificates: slices.Clone(files.Pairs),
		NextProtos:   []string{"http/1.1"},
		MinVersion:   tls.VersionTLS12,
	}
	if g.HTTP2 {
		conf.NextProtos = []string{"h2", "http/1.1"}
	}
	if files.ClientCAs != nil {
		conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, files.ClientCAs.Clone()
	}
	return conf
}

// start makes sure that connections of TLS can move before clients rely on it, and begins what is done from time to time. Clients of the groups
// resume their sessions with this generation, and later with its successors.
func (t *TLS) start(parents []tickets.Secret) (err error) {
	if slices.ContainsFunc(t.all, func(s *secure) bool { return s.conf.MoveTLS }) {
		if err := tlswatch.SelfTest(); err != nil {
			t.log.Error("connections of TLS do not move", "error", err)
		}
	}
	if len(t.all) == 0 {
		t.secrets.Store(&parents)
		return nil
	}
	t.rotation, err = tickets.Start(parents, t.setTickets, func(err error) {
		t.log.Error("session ticket keys not rotated", "error", err)
	})
	t.watchFiles()
	return err
}

// Tickets are the secrets that successors are given.
func (t *TLS) Tickets() []tickets.Secret {
	if all := t.secrets.Load(); all != nil {
		return *all
	}
	return nil
}

// setTickets gives the secrets to the groups, and to successors.
func (t *TLS) setTickets(secrets []tickets.Secret) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.secrets.Store(&secrets)
	for _, s := range t.all {
		if err := t.setKeys(s, s.Config(), s.files); err != nil {
			return err
		}
	}
	return nil
}

// setKeys sets the keys of session tickets. They depend on all by which clients and the server know each other: nobody resumes what
// could not be begun any more. What the program asks of clients is not known to a successor, and so the keys are this process's alone. A certificate
// that the program chooses is not known either; sessions outlast that, as they do with crypto/tls. Where it chooses a whole configuration, it has the keys
// that crypto/tls makes for this process.
func (t *TLS) setKeys(s *secure, conf *tls.Config, files *check.TLS) error {
	if conf.GetConfigForClient != nil {
		return nil
	}
	var shown [][]byte
	for _, cert := range conf.Certificates {
		shown = append(shown, cert.Certificate[0])
	}
	if conf.ClientAuth != tls.NoClientCert {
		shown = append(shown, files.ClientCAPEM)
	}
	keys, err := tickets.Keys(*t.secrets.Load(), s.conf.Name+s.own, bytes.Join(shown, nil))
	if err != nil {
		return err
	}
	conf.SetSessionTicketKeys(keys)
	return nil
}
