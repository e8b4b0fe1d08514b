package exposition

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
)

// Type is the content type of the format.
const Type = "text/plain; version=0.0.4; charset=utf-8"

// Of returns what a handler answers, in the text format.
func Of(ctx context.Context, h http.Handler) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gozd/metrics", http.NoBody)
	if err != nil {
		return "", err
	}
	r.Header.Set("Accept", Type) // and no compression
	a := &answer{header: make(http.Header), status: http.StatusOK}
	h.ServeHTTP(a, r)
	if a.status != http.StatusOK {
		return "", fmt.Errorf("the program's metrics: status %d", a.status)
	}
	return a.body.String(), nil
}

// answer is a http.ResponseWriter that keeps what is written.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements io.Writer.
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }
