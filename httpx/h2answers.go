package httpx

import (
	"crypto/tls"
	"net"
	"net/http"
)

// Write lets pass what of the server's is for the client.
func (m *h2Mover) Write(b []byte) (int, error) {
	defer m.look()
	m.conn.writing.Lock()
	defer m.conn.writing.Unlock()
	if m.gone {
		return 0, net.ErrClosed
	}
	rest, err := m.filter(b)
	if err != nil {
		return 0, err
	}
	if len(rest) == 0 {
		if m.conn.out.AtBoundary() {
			err = m.conn.writeOurs()
		}
	} else if n, putErr := m.conn.put(rest); len(rest) == len(b) {
		return n, putErr
	} else {
		err = putErr
	}
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// filter takes the answers to frames of ours out of what the server says.
func (m *h2Mover) filter(b []byte) (rest []byte, err error) {
	rest = b
	if m.came != nil && !m.came.IsOver() {
		if rest, err = m.came.Write(rest); err != nil {
			return nil, err
		}
		if m.came.IsOver() {
			m.conn.queueOurs(m.came.Grant())
		}
	}
	if m.barrier.IsAsked() || !m.barrier.IsBetween() {
		rest, _ = m.barrier.Push(&m.conn.out, rest)
	}
	return rest, nil
}

// h2Handler answers requests of clients, and that of the mover.
type h2Handler struct {
	next  http.Handler
	mover *h2Mover
	tls   func() tls.ConnectionState // nil without TLS
}

// ServeHTTP implements http.Handler.
func (h *h2Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.mover.ready.Load() {
		h.mover.came.ServeHTTP(w, r)
		return
	}
	if h.tls != nil && r.TLS == nil { // its client has said "http": net/http would take the state of the *tls.Conn, see standIn
		state := h.tls()
		r.TLS = &state
	}
	h.mover.handlers.Add(1)
	defer h.mover.look()
	defer h.mover.handlers.Add(-1)
	h.next.ServeHTTP(w, r)
}

// close is called when the server has ended.
func (m *h2Mover) close() {
	if m.came != nil {
		m.came.Close()
	}
}
