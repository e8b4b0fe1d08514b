package httpx

import (
	"crypto/tls"
	"net/http"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// isLast reports whether r is the last request that has arrived on its connection, as far as can be told: those behind one
// whose response says "Connection: close" would be lost.
func isLast(r *http.Request) bool {
	in, ok := r.Context().Value(connKey{}).(*served)
	if !ok {
		return true
	}
	batch := listener.BatchOf(in.conn)
	return batch == nil || batch.IsLast(in.conn, headerSize(r), r.ContentLength)
}

// recordOverhead is what TLS adds at least to a request that is written at once: a header of 5 bytes, a tag of 16 and, in TLS 1.3, a type. AES-GCM in
// TLS 1.2 has a nonce of 8 more, which is less than another request.
func recordOverhead(version uint16) int {
	if version >= tls.VersionTLS13 {
		return 5 + 16 + 1
	}
	return 5 + 16
}

// headerSize is how long r was in HTTP/1, without its body, as clients write it commonly.
func headerSize(r *http.Request) int64 {
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
		n += recordOverhead(r.TLS.Version)
	}
	return int64(n)
}
