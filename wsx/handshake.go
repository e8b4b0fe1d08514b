package wsx

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// agreement is what the handshake has come to.
type agreement struct {
	Protocol string `json:"protocol,omitempty"` // the subprotocol; "" for none
	Deflate  bool   `json:"deflate,omitempty"`  // messages may be compressed, each by itself
	stays    bool   // something else was agreed that has a state, or is not known here
}

func (a agreement) String() string {
	return fmt.Sprintf("subprotocol %q, compression %v", a.Protocol, a.Deflate)
}

// The parameters of permessage-deflate (RFC 7692, section 7.1) by which no message depends on another one.
const deflate = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// agreed returns what the header of a response says.
func agreed(h http.Header) agreement {
	a := agreement{Protocol: h.Get("Sec-Websocket-Protocol")}
	extensions := strings.Join(h.Values("Sec-Websocket-Extensions"), ",")
	if extensions == "" {
		return a
	}
	params := make(map[string]bool)
	for p := range strings.SplitSeq(extensions, ";") {
		params[strings.TrimSpace(p)] = true
	}
	a.Deflate = true
	for p := range strings.SplitSeq(deflate, "; ") {
		a.stays = a.stays || !params[p]
	}
	a.stays = a.stays || len(params) > 3 // bits of windows, or another extension
	return a
}

// request returns one that has a server agree to the same once more. It is in no need of an Origin: the client was let in.
func (a agreement) request(remote string) *http.Request {
	h := http.Header{
		"Connection":            {"Upgrade"},
		"Upgrade":               {"websocket"},
		"Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key":     {"AAAAAAAAAAAAAAAAAAAAAA=="}, // nobody sees the answer to it
	}
	if a.Protocol != "" {
		h.Set("Sec-Websocket-Protocol", a.Protocol)
	}
	if a.Deflate {
		h.Set("Sec-Websocket-Extensions", deflate)
	}
	return &http.Request{
		Method: http.MethodGet, URL: &url.URL{Path: "/"}, RequestURI: "/", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: http.NoBody, RemoteAddr: remote,
	}
}

// version is that of the states written here. Another one may add fields without being one.
const version = 1

// state is what goes with a connection to the next generation.
type state struct {
	V int `json:"v"`
	agreement
	Ahead   []byte `json:"ahead,omitempty"`   // was read, and not given to the library
	Program []byte `json:"program,omitempty"` // the program's state
}

func (s state) encode() []byte {
	s.V = version
	data, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings, bytes and a number can all be encoded
	}
	return data
}

func decode(data []byte) (state, error) {
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return state{}, fmt.Errorf("wsx: state of a WebSocket: %w", err)
	}
	if s.V != version {
		return state{}, fmt.Errorf("wsx: state of a WebSocket in version %d, want %d", s.V, version)
	}
	if strings.ContainsFunc(s.Protocol, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }) {
		return state{}, fmt.Errorf("wsx: state of a WebSocket with the subprotocol %q", s.Protocol)
	}
	return s, nil
}
