package tlswatch

import (
	"crypto/tls"
	"fmt"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
)

// Silence is how long a connection keeps its last records.
const Silence = silence

// Choose is what decides about certificates.
func Choose(config *tls.Config, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return choose(config, hello)
}

// SwitchOn undoes a failed audit.
func SwitchOn() { off.Store(nil) }

// Halves returns copies of what is known of both directions.
func (c *Conn) Halves() (in, out *tlsrec.Half) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.in.half == nil || c.out.half == nil {
		return nil, nil
	}
	return c.in.half.Clone(), c.out.half.Clone()
}

// Why returns why c never moves.
func (c *Conn) Why() tlsrec.Reason {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why
}

// Kept is how many bytes of records c keeps.
func (c *Conn) Kept() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return cap(c.in.last) + cap(c.out.last)
}

// ForgetLast forgets the last record of what the client sends.
func (c *Conn) ForgetLast() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in.last, c.in.proved = nil, false
}

// Miscount has c know a wrong number of the next record to be sent.
func (c *Conn) Miscount(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.half.Seq += uint64(by)
	c.out.proved = true
}

// TryMove is what SelfTest does.
func TryMove() error { return tryMove() }

// State is the state for a move that is refused at once.
func (c *Conn) State() (*tlsrec.State, error) {
	s, err := c.Freeze()
	if err == nil {
		c.Thaw()
	}
	return s, err
}

// Rest has c rest as after a silence.
func (c *Conn) Rest() {
	c.rest() // was in use
	c.rest()
}

// Followed is a session behind its handshake, of which both directions begin with one secret.
type Followed struct{ session }

// Follow returns a session of that suite.
func Follow(suite uint16, secret []byte) (*Followed, error) {
	f := new(Followed)
	f.complete, f.state.Suite = true, suite
	for _, flow := range []*flow{&f.in, &f.out} {
		half, err := tlsrec.NewHalf(suite, secret)
		if err != nil {
			return nil, err
		}
		flow.half = half
	}
	return f, nil
}

func (f *Followed) flow(out bool) *flow {
	if out {
		return &f.out
	}
	return &f.in
}

// Push has bytes go through.
func (f *Followed) Push(out bool, b []byte) { f.follow(f.flow(out), b) }

// Seq is how many records have gone through, if the session still knows that.
func (f *Followed) Seq(out bool) (seq uint64, known bool) {
	if f.why != "" {
		return 0, false
	}
	return f.flow(out).half.Seq, true
}

// Proves reports whether a connection could move, as far as the direction goes.
func (f *Followed) Proves(out bool) error { return f.prove(f.flow(out)) }

// Known is all that the session knows, but the secrets.
func (f *Followed) Known() string {
	known := string(f.why)
	for _, flow := range []*flow{&f.in, &f.out} {
		known += fmt.Sprintf(" %d %v %v %x", flow.have, flow.proved, flow.clean, flow.last)
		if flow.half != nil {
			known += fmt.Sprintf(" %d", flow.half.Seq)
		}
	}
	return known
}
