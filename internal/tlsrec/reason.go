package tlsrec

// Reason is why a connection stays in its process. It is an error, and its text is short and of a small set, so that
// moves that did not happen can be counted by it.
type Reason string

// The reasons of this package and of tlswatch.
const (
	Busy              Reason = "busy"               // a record or message is under way, or somebody writes
	Reading           Reason = "reading"            // somebody waits in Read
	Unread            Reason = "unread"             // there is data that nobody has read
	Closed            Reason = "closed"             // by us, by the peer, or by an error
	Frozen            Reason = "frozen"             // the state has been taken
	KeyLimit          Reason = "key limit"          // too many records under one key
	Off               Reason = "off"                // this process moves no connections of TLS
	Untracked         Reason = "untracked"          // the handshake was made without the tracker
	Handshake         Reason = "handshake"          // it is not complete
	Version           Reason = "version"            // older than TLS 1.3
	ClientCertificate Reason = "client certificate" // it could be revoked meanwhile
	Lost              Reason = "lost"               // the tracker no longer knows the keys
	NoProof           Reason = "no proof"           // there is no record to prove the keys with
	TooLong           Reason = "too long"           // a name that the state has no room for
)

// Error returns the reason's text.
func (r Reason) Error() string { return string(r) }

// Reasons returns all reasons.
func Reasons() []Reason {
	return []Reason{
		Busy, ClientCertificate, Closed, Frozen, Handshake, KeyLimit, Lost, NoProof, Off, Reading, TooLong, Unread, Untracked, Version,
	}
}
