package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

// patience is how long a request waits for the file. A predecessor lets go of it
// when the requests that use it are done: milliseconds.
const patience = 10 * time.Second

// bucket has the counts, by name.
var bucket = []byte("counts")

// newHandler returns the routes. addr is where the daemon listens.
func newHandler(counts *store, addr net.Addr) http.Handler {
	next := newSuccessor(addr)
	mux := http.NewServeMux()
	mux.Handle("POST /count/{name}", answer(counts, next, (*bolt.DB).Update, increment))
	mux.Handle("GET /count/{name}", answer(counts, next, (*bolt.DB).View, read))
	return mux
}

// answer runs do in a transaction and says what it returns. A request that finds the
// file released came in on a connection that this process had open when it was
// replaced; nothing has been done for it, and its successor answers it.
func answer(counts *store, next http.Handler, begin func(*bolt.DB, func(*bolt.Tx) error) error,
	do func(tx *bolt.Tx, name []byte) (uint64, error),
) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		var n uint64
		err := counts.use(ctx, func(db *bolt.DB) error {
			return begin(db, func(tx *bolt.Tx) (err error) {
				n, err = do(tx, []byte(r.PathValue("name")))
				return err
			})
		})
		switch {
		case errors.Is(err, errReleased):
			next.ServeHTTP(w, r)
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		default:
			w.Header().Set("X-Gozd-Generation", strconv.Itoa(gozd.Generation()))
			fmt.Fprintln(w, n)
		}
	})
}

// increment adds one to a count. When the transaction has ended it is on the disk.
func increment(tx *bolt.Tx, name []byte) (uint64, error) {
	b, err := tx.CreateBucketIfNotExists(bucket)
	if err != nil {
		return 0, err
	}
	n := decode(b.Get(name)) + 1
	return n, b.Put(name, binary.BigEndian.AppendUint64(nil, n))
}

func read(tx *bolt.Tx, name []byte) (uint64, error) {
	b := tx.Bucket(bucket)
	if b == nil {
		return 0, nil
	}
	return decode(b.Get(name)), nil
}

// decode returns 0 for a count that is not there.
func decode(value []byte) uint64 {
	if len(value) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(value)
}

// newSuccessor returns a handler that has the newest generation answer. That one
// accepts where this process did, and this process does no more.
func newSuccessor(addr net.Addr) http.Handler {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, addr.Network(), addr.String())
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: r.In.Host})
		},
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
	}
}
