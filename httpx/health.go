package httpx

import (
	"net"
	"net/http"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
)

// Health returns a handler for a health route, such as router.Handle("/healthz", httpx.Health(ln, nil)): 200 as long
// as ln accepts connections, and 503 from when it drains, because the daemon is to end or because
// a newer generation serves. A load balancer that asks on a connection of its own sees the newer one then, and never 503
// because of an upgrade; before a stop it learns to send nobody here any more. A generation that serves again, since its successor has
// died, answers 200 again.
//
// ok, if non-nil, is what the program thinks of itself, and is called for each request while the listener
// accepts, by several goroutines at once. Its error is the answer, with status 503: give it nothing that is not for
// everybody to read. ln may be any listener; one that is not gozd's never drains.
//
// The answer is text, not to be cached, and HEAD works as GET does. Other methods get 405.
func Health(ln net.Listener, ok func(*http.Request) error) http.Handler {
	h := &health{ok: ok, draining: func() <-chan struct{} { return nil }}
	if l, is := listener.FromListener(ln); is {
		h.draining = l.Draining
	}
	return h
}

type health struct {
	draining func() <-chan struct{} // the channel is nil if the listener never drains
	ok       func(*http.Request) error
}

// ServeHTTP implements http.Handler.
func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	if reason := h.unwell(r); reason != "" {
		http.Error(w, reason, http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

// unwell says why nobody should be sent here; "" if there is no reason.
func (h *health) unwell(r *http.Request) string {
	select {
	case <-h.draining():
		return "draining"
	default:
	}
	if h.ok == nil {
		return ""
	}
	if err := h.ok(r); err != nil {
		return err.Error()
	}
	return ""
}
