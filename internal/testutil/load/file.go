package load

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"sync"
	"time"
)

// FileOptions are the options of [NewFile].
type FileOptions struct {
	// Size is the size of the file in bytes. If zero, 10 MiB.
	Size int64

	// Sum remembers what the file's content was, for all clients that share
	// it. If nil, a client compares its answers only with each other.
	Sum *FileSum

	// Think is the most time that the user waits, for a random time, before
	// each exchange. If zero, there is no wait.
	Think time.Duration
}

// FileSum holds the checksum of the first whole answer. The zero value is
// ready. Several clients may use it at once, if all ask for the same size.
type FileSum struct {
	mu    sync.Mutex // guards known and sum
	known bool
	sum   uint32
}

// check compares sum with that of the first answer.
func (s *FileSum) check(sum uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		s.known, s.sum = true, sum
	}
	if s.sum != sum {
		return fmt.Errorf("content has checksum %08x, the first answer had %08x", sum, s.sum)
	}
	return nil
}

// File is the user who downloads, each file on a new connection.
type File struct {
	link
	size int64
	sum  *FileSum
	path string
	buf  []byte
}

// NewFile returns a client that gets /file?size=Size.
func NewFile(t Target, o FileOptions) (*File, error) {
	if err := t.validate(); err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	c := &File{link: link{kind: "file", target: t, think: o.Think}, size: o.Size, sum: o.Sum, buf: make([]byte, 64<<10)}
	if c.size == 0 {
		c.size = 10 << 20
	}
	if c.sum == nil {
		c.sum = new(FileSum)
	}
	c.path = fmt.Sprintf("/file?size=%d", c.size)
	return c, nil
}

// Do gets the file once; see [Client].
func (c *File) Do(ctx context.Context) (Reply, error) {
	return c.exchange(ctx, func(ctx context.Context, r *Reply) error {
		q := httpRequest{method: http.MethodGet, path: c.path, extra: "Connection: close\r\n"}
		return c.roundTrip(ctx, &q, 0, r, c.readFile)
	})
}

// castagnoli has an instruction of its own on most processors, so that the
// client's checking does not become what is measured.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (c *File) readFile(resp *http.Response) error {
	if !framed(resp) {
		return errNotFramed
	}
	hash := crc32.New(castagnoli)
	n, err := io.CopyBuffer(hash, resp.Body, c.buf)
	if err != nil {
		return c.readError("body", err)
	}
	if n != c.size {
		return fmt.Errorf("file of %d bytes, want %d", n, c.size)
	}
	return c.sum.check(hash.Sum32())
}
