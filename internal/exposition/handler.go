package exposition

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

// Type is the content type of the format.
const Type = "text/plain; version=0.0.4; charset=utf-8"

// MaxSize bounds what a program answers, in bytes: some 100,000 time series. More is an error.
const MaxSize = 16 << 20

// Of returns what a handler answers, in the text format, up to MaxSize.
func Of(ctx context.Context, h http.Handler) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gozd/metrics", http.NoBody)
	if err != nil {
		return "", err
	}
	r.Header.Set("Accept", Type) // and no compression
	a := &answer{header: make(http.Header), status: http.StatusOK}
	h.ServeHTTP(a, r)
	if a.tooLarge { // first: a handler that could not write may say so by a status
		return "", fmt.Errorf("the program's metrics: more than %d bytes", MaxSize)
	}
	if a.status != http.StatusOK {
		return "", fmt.Errorf("the program's metrics: status %d", a.status)
	}
	return a.body.String(), nil
}

// answer is a http.ResponseWriter that keeps what is written, as far as there is room.
type answer struct {
	header   http.Header
	status   int
	body     bytes.Buffer
	tooLarge bool
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements io.Writer.
func (a *answer) Write(b []byte) (int, error) {
	if a.body.Len()+len(b) > MaxSize {
		a.tooLarge = true
		return 0, io.ErrShortWrite // which ends most handlers
	}
	return a.body.Write(b)
}
