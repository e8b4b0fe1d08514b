package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// The headers that tell which process answered.
const (
	generationHeader = "X-Gozd-Generation"
	pidHeader        = "X-Gozd-Pid"
)

// httpRequest is written by hand, in one Write, so that nothing decides for us
// what goes out and when.
type httpRequest struct {
	method string
	path   string
	extra  string // further header lines, each with its CRLF
	body   []byte
}

// head returns the request up to the body, built in buf.
func (q *httpRequest) head(buf []byte, host string) []byte {
	buf = fmt.Appendf(buf[:0], "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gozd-load\r\n%s", q.method, q.path, host, q.extra)
	if q.method != http.MethodGet {
		buf = fmt.Appendf(buf, "Content-Length: %d\r\n", len(q.body))
	}
	return append(buf, "\r\n"...)
}

// roundTrip sends q and reads the answer, whose body goes to read. With split,
// the header leaves in two parts, that far apart.
func (l *link) roundTrip(ctx context.Context, q *httpRequest, split time.Duration, r *Reply, read func(*http.Response) error) error {
	l.out = append(q.head(l.out, l.target.host()), q.body...)
	out := l.out
	if split > 0 {
		half := len(q.method) + len(q.path) + len(" ")
		if err := l.write(out[:half]); err != nil {
			return err
		}
		if err := wait(ctx, split); err != nil {
			return fmt.Errorf("send request: %w", err)
		}
		out = out[half:]
	}
	return l.converse(out, func() error {
		if l.sent != nil {
			l.sent()
		}
		return l.answer(q.method, r, read)
	})
}

// answer reads one response, which has to be a 200 from a known process.
func (l *link) answer(method string, r *Reply, read func(*http.Response) error) error {
	resp, err := l.response(method)
	if err != nil {
		return err
	}
	if err := checkHead(resp, http.StatusOK, r); err != nil {
		return err
	}
	return read(resp)
}

func (l *link) response(method string) (*http.Response, error) {
	resp, err := http.ReadResponse(l.br, &http.Request{Method: method})
	if err != nil {
		return nil, l.readError("response", err)
	}
	return resp, nil
}

// checkHead checks the status and notes who answered.
func checkHead(resp *http.Response, status int, r *Reply) error {
	if resp.StatusCode != status {
		return fmt.Errorf("status %d, want %d", resp.StatusCode, status)
	}
	return served(resp.Header, r)
}

// served notes in r who answered; an answer that does not say is not one of
// ours.
func served(h http.Header, r *Reply) (err error) {
	if r.Generation, err = number(h, generationHeader); err != nil {
		return err
	}
	r.PID, err = number(h, pidHeader)
	return err
}

func number(h http.Header, name string) (int, error) {
	v := h.Get(name)
	if v == "" {
		return 0, fmt.Errorf("no header %s in the answer", name)
	}
	n, err := strconv.Atoi(v)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("header %s is %q, want a positive number", name, v)
	}
	return n, nil
}

// errNotFramed is the failure of an answer of which nobody can say whether it
// is whole.
var errNotFramed = errors.New("the answer is neither chunked nor has it a length")

func framed(resp *http.Response) bool {
	return resp.ContentLength >= 0 || len(resp.TransferEncoding) > 0
}

// readBody reads all of a framed body of at most limit bytes into buf.
func (l *link) readBody(resp *http.Response, buf *bytes.Buffer, limit int) error {
	if !framed(resp) {
		return errNotFramed
	}
	buf.Reset()
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, int64(limit)+1))
	if err != nil {
		return l.readError("body", err)
	}
	if n > int64(limit) {
		return fmt.Errorf("body of more than %d bytes", limit)
	}
	return nil
}
