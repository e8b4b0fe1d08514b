package tlswatch

import "bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"

// session is what is known of TLS on a connection by the bytes that go through it and by what crypto/tls tells in the handshake. Once there is a
// reason why the connection stays, it knows nothing more, and has no secrets. Its Conn's lock guards it.
type session struct {
	in, out  flow
	state    tlsrec.State  // what VerifyConnection was told, without halves
	keys     *keys         // of the handshake, while it goes on
	why      tlsrec.Reason // why the connection never moves; "" if it may
	complete bool          // both sides have sent their Finished
	touched  bool          // a record has begun since rest was called
}

// lose has the connection stay for good. The first reason counts.
func (s *session) lose(why tlsrec.Reason) {
	if s.why == "" {
		s.why = why
	}
	s.forget()
}

// forget clears the secrets and gives back what the proof needs.
func (s *session) forget() {
	s.in.forget()
	s.out.forget()
	s.keys.clear()
	s.keys = nil
}
