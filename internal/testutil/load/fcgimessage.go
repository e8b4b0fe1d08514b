package load

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// FCGIRequest is one request to a FastCGI responder.
type FCGIRequest struct {
	// ID is the request's number on its connection. Required: 0 is for
	// management records.
	ID uint16

	// KeepConn asks the responder to leave the connection open.
	KeepConn bool

	// Params are the CGI variables.
	Params map[string]string

	// Stdin is the body.
	Stdin []byte
}

// Append appends the request's records to b and returns the result.
func (q FCGIRequest) Append(b []byte) []byte {
	begin := make([]byte, fcgiBeginLen)
	begin[1] = fcgiResponder
	if q.KeepConn {
		begin[2] = fcgiKeepConn
	}
	b = appendRecord(b, fcgiRecord{fcgiBegin, q.ID, begin})
	b = appendStream(b, fcgiParams, q.ID, q.params())
	return appendStream(b, fcgiStdin, q.ID, q.Stdin)
}

// params encodes the variables in the order of their names, so that one
// request is always the same bytes.
func (q FCGIRequest) params() []byte {
	names := make([]string, 0, len(q.Params))
	for name := range q.Params {
		names = append(names, name)
	}
	slices.Sort(names)
	var b []byte
	for _, name := range names {
		b = appendPair(b, name, q.Params[name])
	}
	return b
}

// FCGIResponse is one whole answer of a FastCGI responder.
type FCGIResponse struct {
	// Status is the HTTP status of the CGI header "Status", or 200.
	Status int

	// Header is the CGI header.
	Header http.Header

	// Body is what followed the header.
	Body []byte

	// Stderr is what the application had to complain about.
	Stderr []byte

	// AppStatus is the application's exit status.
	AppStatus uint32
}

// FCGIReader reads the answers that come on a FastCGI connection, and never
// further than the last record of an answer.
type FCGIReader struct {
	records fcgiReader
}

// NewFCGIReader returns a reader of the answers that come on r, which should
// be buffered.
func NewFCGIReader(r io.Reader) *FCGIReader {
	return &FCGIReader{records: fcgiReader{r: r}}
}

// Response reads the answer to request id, to its END_REQUEST. The error is
// io.EOF if the connection ended before the answer's first byte, and wraps
// io.ErrUnexpectedEOF if it ended within.
func (d *FCGIReader) Response(id uint16) (*FCGIResponse, error) {
	var resp FCGIResponse
	var stdout bytes.Buffer
	for first := true; ; first = false {
		rec, err := d.records.next()
		if err != nil && !first {
			err = noEOF(err)
		}
		if err != nil {
			return nil, err
		}
		if rec.id != id {
			return nil, fmt.Errorf("FastCGI record for request %d, want %d", rec.id, id)
		}
		switch rec.kind {
		case fcgiStdout:
			stdout.Write(rec.content)
		case fcgiStderr:
			resp.Stderr = append(resp.Stderr, rec.content...)
		case fcgiEnd:
			return resp.finish(rec.content, &stdout)
		default:
			return nil, fmt.Errorf("FastCGI record of type %d in an answer", rec.kind)
		}
	}
}

// finish reads the content of END_REQUEST, and then what was on stdout.
func (resp *FCGIResponse) finish(end []byte, stdout *bytes.Buffer) (*FCGIResponse, error) {
	if len(end) != fcgiEndLen {
		return nil, fmt.Errorf("FastCGI END_REQUEST of %d bytes", len(end))
	}
	resp.AppStatus = binary.BigEndian.Uint32(end)
	if protocol := end[4]; protocol != 0 {
		return nil, fmt.Errorf("FastCGI request refused: protocol status %d", protocol)
	}
	if err := resp.parse(stdout); err != nil {
		return nil, err
	}
	return resp, nil
}

// parse splits the CGI header from the body.
func (resp *FCGIResponse) parse(stdout *bytes.Buffer) error {
	br := bufio.NewReader(stdout)
	header, err := textproto.NewReader(br).ReadMIMEHeader()
	if err != nil {
		return fmt.Errorf("CGI header: %w", noEOF(err))
	}
	resp.Header = http.Header(header)
	resp.Status = http.StatusOK
	if status := header.Get("Status"); status != "" {
		code, _, _ := strings.Cut(status, " ")
		if resp.Status, err = strconv.Atoi(code); err != nil {
			return fmt.Errorf("CGI status: %w", err)
		}
	}
	resp.Body, err = io.ReadAll(br)
	return err
}
