package httpx

import (
	"net"
	"net/http"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// isLast reports whether r is the last request that has arrived on its connection, as far as can be told: those behind one
// whose response says "Connection: close" would be lost.
func isLast(r *http.Request) bool {
	c, ok := r.Context().Value(connKey{}).(net.Conn)
	if !ok {
		return true
	}
	var batch *listener.Batch
	if ours, ok := c.(interface{ batch() *listener.Batch }); ok {
		batch = ours.batch()
	} else {
		batch = listener.BatchOf(c)
	}
	return batch == nil || batch.IsLast(c, sizeOf(r), r.Body != nil && r.Body != http.NoBody)
}

// recordOverhead is what TLS adds to a request that is written at once: in TLS 1.2 with AES-GCM a header of 5 bytes, a nonce of 8 and a
// tag of 16. The other ciphers of today add less.
const recordOverhead = 5 + 8 + 16

// sizeOf is how long r was in HTTP/1, without its body, as clients write it commonly.
func sizeOf(r *http.Request) int {
	const spaces, endOfLine, colon = 2, 2, 2
	n := len(r.Method) + len(r.RequestURI) + len(r.Proto) + spaces + endOfLine +
		len("Host") + colon + len(r.Host) + endOfLine +
		endOfLine
	for key, values := range r.Header {
		for _, v := range values {
			n += len(key) + colon + len(v) + endOfLine
		}
	}
	if r.TLS != nil {
		n += recordOverhead
	}
	return n
}
