package wsx

import (
	"net/http"
	"testing"
)

// What has a state from message to message stays.
func TestAgreed(t *testing.T) {
	for extensions, want := range map[string]agreement{
		"": {},
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover": {Deflate: true},
		"permessage-deflate; client_no_context_takeover;server_no_context_takeover":  {Deflate: true},
		"permessage-deflate":                             {Deflate: true, stays: true},
		"permessage-deflate; client_no_context_takeover": {Deflate: true, stays: true},
		"permessage-deflate; server_no_context_takeover": {Deflate: true, stays: true},
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10": {Deflate: true, stays: true},
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover, other":                     {Deflate: true, stays: true},
		"other": {Deflate: true, stays: true},
	} {
		h := http.Header{"Sec-Websocket-Extensions": {extensions}, "Sec-Websocket-Protocol": {"chat"}}
		if extensions == "" {
			h.Del("Sec-Websocket-Extensions")
		}
		want.Protocol = "chat"
		if got := agreed(h); got != want {
			t.Errorf("%q: %+v, want %+v", extensions, got, want)
		}
		if !want.stays {
			if again := agreed(want.request("192.0.2.1:1").Header); again != want {
				t.Errorf("%q: the next request asks for %+v, want %+v", extensions, again, want)
			}
		}
	}
}
