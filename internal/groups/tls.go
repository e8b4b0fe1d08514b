package groups

import (
	"bytes"
	"crypto/tls"
	"errors"
	"slices"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// secure is what a group of mode https has of TLS. Its listener comes later than the rest, and its configuration is
// the one that counts.
type secure struct {
	*listener.TLSListener
	first *tls.Config // of the listener

	pairs, ca bool // the certificates, and the authorities of clients' ones, are those of the files: the program has left them so
	keeps     bool // sessions go on in successors
	renewal
}

// claimTLS reads the files of an https group, and asks the program; it returns nil for another mode. A first generation serves by a
// certificate that has expired, since nobody else would serve; a later one leaves that to the one before.
func (c *claiming) claimTLS(g *config.Group) (*secure, error) {
	if g.Mode != config.HTTPS {
		return nil, nil
	}
	seen := look(g)
	files, err := check.ReadTLS(c.opts.Conf, g)
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
	s := &secure{first: conf, renewal: renewal{seen: seen, files: files}}
	s.pairs = len(files.Pairs) > 0 && slices.EqualFunc(conf.Certificates, files.Pairs, isVery)
	s.ca = files.ClientCAs != nil && files.ClientCAs.Equal(conf.ClientCAs)
	// crypto/tls does not ask VerifyPeerCertificate where a session is resumed.
	s.keeps = conf.GetConfigForClient == nil && (conf.ClientAuth == tls.NoClientCert || s.ca && conf.VerifyPeerCertificate == nil)
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

// testMoves makes sure that connections of TLS can move before clients rely on it.
func (set *Set) testMoves() {
	if !slices.ContainsFunc(set.order, func(g *group) bool { return g.conf.MoveTLS }) {
		return
	}
	if err := tlswatch.SelfTest(); err != nil {
		set.opts.Log.Error("connections of TLS do not move", "error", err)
	}
}

// useTickets has clients of the https groups resume their TLS sessions with this
// generation, and later with its successors. A daemon without such a group has no secrets of its own, and passes on none.
func useTickets(set *Set) error {
	if !slices.ContainsFunc(set.order, func(g *group) bool { return g.tls != nil }) {
		set.secrets.Store(&set.opts.Tickets)
		return nil
	}
	var err error
	set.rotation, err = tickets.Start(set.opts.Tickets, set.setTickets, func(err error) {
		set.opts.Log.Error("session ticket keys not rotated", "error", err)
	})
	return err
}

// Tickets are the secrets that successors are given.
func (set *Set) Tickets() []tickets.Secret {
	if all := set.secrets.Load(); all != nil {
		return *all
	}
	return nil
}

// setTickets gives the secrets to the groups, and to successors.
func (set *Set) setTickets(secrets []tickets.Secret) error {
	set.renewing.Lock()
	defer set.renewing.Unlock()
	set.secrets.Store(&secrets)
	for _, g := range set.order {
		if g.tls == nil {
			continue
		}
		if err := set.setKeys(g, g.tls.Config(), g.tls.files); err != nil {
			return err
		}
	}
	return nil
}

// setKeys sets the keys of session tickets. They depend on all by which clients and the server know each other: nobody resumes what
// could not be begun any more. What the program asks of clients is not known to a successor, and so keeps the keys that crypto/tls
// makes for this process. A certificate that the program chooses is not known either; sessions outlast that, as they do with crypto/tls.
func (set *Set) setKeys(g *group, conf *tls.Config, files *check.TLS) error {
	if !g.tls.keeps {
		return nil
	}
	var shown [][]byte
	for _, cert := range conf.Certificates {
		shown = append(shown, cert.Certificate[0])
	}
	if conf.ClientAuth != tls.NoClientCert {
		shown = append(shown, files.ClientCAPEM)
	}
	keys, err := tickets.Keys(*set.secrets.Load(), g.conf.Name, bytes.Join(shown, nil))
	if err != nil {
		return err
	}
	conf.SetSessionTicketKeys(keys)
	return nil
}
