package protocols

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/lockedbuf"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// eavesdropper is a proxy in the middle that keeps what goes through it.
type eavesdropper struct {
	net.Listener
	fromServer, fromClient lockedbuf.Buffer
	conns                  atomic.Int32
}

func eavesdrop(t *testing.T, on string) *eavesdropper {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	e := &eavesdropper{Listener: ln}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			e.conns.Add(1)
			go e.pass(c, on)
		}
	}()
	return e
}

func (e *eavesdropper) pass(client net.Conn, on string) {
	defer client.Close()
	server, err := net.Dial("tcp", on)
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	for _, way := range []struct {
		to, from net.Conn
		keep     io.Writer
	}{{client, server, &e.fromServer}, {server, client, &e.fromClient}} {
		both.Go(func() {
			io.Copy(io.MultiWriter(way.keep, way.to), way.from)
			way.to.(*net.TCPConn).CloseWrite()
		})
	}
	both.Wait()
}

// keylog collects a client's secrets by their labels.
type keylog struct{ lockedbuf.Buffer }

func (k *keylog) secret(t *testing.T, label string) []byte {
	t.Helper()
	for line := range strings.Lines(k.String()) {
		if f := strings.Fields(line); f[0] == label {
			secret, err := hex.DecodeString(f[2])
			require.NoError(t, err)
			return secret
		}
	}
	t.Fatalf("the client has not logged %s", label)
	return nil
}

// opener opens the records of one direction by number.
type opener struct {
	key, iv []byte
	aead    cipher.AEAD
}

func newOpener(t *testing.T, suite uint16, secret []byte) *opener {
	t.Helper()
	h, size := sha256.New, 16
	switch suite {
	case tls.TLS_AES_256_GCM_SHA384:
		h, size = sha512.New384, 32
	case tls.TLS_CHACHA20_POLY1305_SHA256:
		require.Missing(t, "AES in the processor")
	}
	o := &opener{key: expand(t, h, secret, "key", size), iv: expand(t, h, secret, "iv", 12)}
	block, err := aes.NewCipher(o.key)
	require.NoError(t, err)
	o.aead, err = cipher.NewGCM(block)
	require.NoError(t, err)
	return o
}

// expand is HKDF-Expand-Label of RFC 8446, 7.1, without a context.
func expand(t *testing.T, h func() hash.Hash, secret []byte, label string, size int) []byte {
	t.Helper()
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(info, byte(len("tls13 "+label)))
	info = append(info, "tls13 "+label...)
	out, err := hkdf.Expand(h, secret, string(append(info, 0)), size)
	require.NoError(t, err)
	return out
}

func (o *opener) open(number uint64, record []byte) error {
	nonce := bytes.Clone(o.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(number >> (56 - 8*i))
	}
	_, err := o.aead.Open(nil, nonce, record[5:], record[:5])
	return err
}

// records cuts a stream.
func records(t *testing.T, stream string) (all [][]byte) {
	t.Helper()
	for b := []byte(stream); len(b) > 0; {
		if len(b) < 5 || len(b) < 5+int(binary.BigEndian.Uint16(b[3:])) {
			t.Fatalf("the stream ends in the midst of a record")
		}
		n := 5 + int(binary.BigEndian.Uint16(b[3:]))
		all, b = append(all, b[:n]), b[n:]
	}
	return all
}

// wantNumbered wants the records under a key to have the numbers 0, 1, 2, ... each once, and returns how many there are.
func wantNumbered(t *testing.T, o *opener, stream string) uint64 {
	t.Helper()
	next := uint64(0)
	for i, r := range records(t, stream) {
		if r[0] != 23 { // ServerHello and change_cipher_spec
			continue
		}
		err := o.open(next, r)
		switch {
		case err == nil:
			next++
		case next > 0:
			for used := range next {
				if o.open(used, r) == nil {
					t.Fatalf("record %d uses the number %d, which was used before", i, used)
				}
			}
			t.Fatalf("record %d is not number %d: %v", i, next, err)
		}
	}
	return next
}
