package tlsrec_test

import (
	"crypto/tls"
	"fmt"
	"go/version"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/tlspeer"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
)

// goOn takes over the server's side of a connection that has carried no data.
func goOn(tb testing.TB, conn net.Conn, server *tls.Conn, log *tlspeer.Log) *tlsrec.Conn {
	tb.Helper()
	cs := server.ConnectionState()
	s, err := tlsrec.NewState(tlsrec.State{
		Suite: cs.CipherSuite, ServerName: cs.ServerName, NegotiatedProtocol: cs.NegotiatedProtocol,
		CurveID: cs.CurveID, HandshakeAt: time.Now(),
	}, log.Half(tb, cs.CipherSuite, tlspeer.ClientSecret), log.Half(tb, cs.CipherSuite, tlspeer.ServerSecret))
	if err != nil {
		tb.Fatal(err)
	}
	c, err := tlsrec.Server(conn, s)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

const (
	data      = tlsrec.TypeApplicationData
	handshake = tlsrec.TypeHandshake
	alert     = tlsrec.TypeAlert
	ccs       = "\x14\x03\x03\x00\x01\x01"
)

// refusals are what a client may send. Each is followed by data, and by the end of the connection.
var refusals = map[string]func(r *tlspeer.Raw){
	"nothing":    func(*tlspeer.Raw) {},
	"data":       func(r *tlspeer.Raw) { r.Send(data, "a"); r.Send(data, "b") },
	"full":       func(r *tlspeer.Raw) { r.Send(data, strings.Repeat("a", 16384)) },
	"too full":   func(r *tlspeer.Raw) { r.Send(data, strings.Repeat("a", 16385)) },
	"longer yet": func(r *tlspeer.Raw) { r.Send(data, strings.Repeat("a", 16384+239)) },
	"oversized":  func(r *tlspeer.Raw) { r.Send(data, strings.Repeat("a", 16384+240)) },
	"padded":     func(r *tlspeer.Raw) { write(r, r.Seal(data, "a", 100)) },
	"padded full": func(r *tlspeer.Raw) {
		write(r, r.Seal(data, strings.Repeat("a", 16000), 384))
	},
	"padded over": func(r *tlspeer.Raw) {
		write(r, r.Seal(data, strings.Repeat("a", 16384), 1))
	},
	"padded most":        func(r *tlspeer.Raw) { write(r, r.Seal(data, "a", 16384+238)) },
	"padding only":       func(r *tlspeer.Raw) { write(r, r.Seal(0, "", 10)) },
	"zero":               func(r *tlspeer.Raw) { r.Send(0, "") },
	"empty":              func(r *tlspeer.Raw) { r.Send(data, "") },
	"16 empty":           func(r *tlspeer.Raw) { repeat(r, 16, data, "") },
	"17 empty":           func(r *tlspeer.Raw) { repeat(r, 17, data, "") },
	"16 empty, 16 more":  func(r *tlspeer.Raw) { repeat(r, 16, data, ""); r.Send(data, "a"); repeat(r, 16, data, "") },
	"empty padded":       func(r *tlspeer.Raw) { write(r, r.Seal(data, "", 10)) },
	"empty handshake":    func(r *tlspeer.Raw) { r.Send(handshake, "") },
	"empty alert":        func(r *tlspeer.Raw) { r.Send(alert, "") },
	"unknown type":       func(r *tlspeer.Raw) { r.Send(99, "a") },
	"sealed CCS":         func(r *tlspeer.Raw) { r.Send(20, "\x01") },
	"heartbeat":          func(r *tlspeer.Raw) { r.Send(24, "\x01\x00\x00") },
	"flipped":            func(r *tlspeer.Raw) { write(r, flip(r.Seal(data, "abc", 0), 6)) },
	"flipped tag":        func(r *tlspeer.Raw) { b := r.Seal(data, "abc", 0); write(r, flip(b, len(b)-1)) },
	"outer handshake":    func(r *tlspeer.Raw) { b := r.Seal(data, "abc", 0); b[0] = 22; write(r, b) },
	"outer alert":        func(r *tlspeer.Raw) { write(r, []byte("\x15\x03\x03\x00\x02\x01\x00")) },
	"outer handshake 1":  func(r *tlspeer.Raw) { write(r, []byte("\x16\x03\x03\x00\x05\x18\x00\x00\x01\x00")) },
	"outer unknown":      func(r *tlspeer.Raw) { write(r, []byte("\x63\x03\x03\x00\x01\x00")) },
	"version":            func(r *tlspeer.Raw) { b := r.Seal(data, "abc", 0); b[2] = 4; write(r, b) },
	"version and length": func(r *tlspeer.Raw) { write(r, []byte("\x17\x03\x01\xff\xff")) },
	"HTTP":               func(r *tlspeer.Raw) { write(r, []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")) },
	"length 0":           func(r *tlspeer.Raw) { write(r, []byte("\x17\x03\x03\x00\x00")) },
	"length 15":          func(r *tlspeer.Raw) { write(r, append([]byte("\x17\x03\x03\x00\x0f"), make([]byte, 15)...)) },
	"length 16":          func(r *tlspeer.Raw) { write(r, append([]byte("\x17\x03\x03\x00\x10"), make([]byte, 16)...)) },
	"length 16641":       func(r *tlspeer.Raw) { write(r, []byte("\x17\x03\x03\x41\x01")) },
	"replayed": func(r *tlspeer.Raw) {
		b := r.Seal(data, "abc", 0)
		write(r, b)
		write(r, b)
	},
	"reordered": func(r *tlspeer.Raw) {
		a, b := r.Seal(data, "a", 0), r.Seal(data, "b", 0)
		write(r, b)
		write(r, a)
	},
	"left out":   func(r *tlspeer.Raw) { r.Seal(data, "a", 0) },
	"header cut": func(r *tlspeer.Raw) { write(r, r.Seal(data, "abc", 0)[:3]); end(r) },
	"record cut": func(r *tlspeer.Raw) { write(r, r.Seal(data, "abc", 0)[:10]); end(r) },
	"cut after data": func(r *tlspeer.Raw) {
		r.Send(data, "abc")
		write(r, r.Seal(data, "abc", 0)[:20])
		end(r)
	},

	"CCS":               func(r *tlspeer.Raw) { write(r, []byte(ccs)) },
	"17 CCS":            func(r *tlspeer.Raw) { write(r, []byte(strings.Repeat(ccs, 17))) },
	"16 CCS":            func(r *tlspeer.Raw) { write(r, []byte(strings.Repeat(ccs, 16))) },
	"CCS of 2":          func(r *tlspeer.Raw) { write(r, []byte("\x14\x03\x03\x00\x01\x02")) },
	"CCS of two bytes":  func(r *tlspeer.Raw) { write(r, []byte("\x14\x03\x03\x00\x02\x01\x01")) },
	"CCS empty":         func(r *tlspeer.Raw) { write(r, []byte("\x14\x03\x03\x00\x00")) },
	"CCS long":          func(r *tlspeer.Raw) { write(r, append([]byte("\x14\x03\x03\x40\x01"), make([]byte, 16385)...)) },
	"CCS in a message":  func(r *tlspeer.Raw) { r.Send(handshake, "\x18\x00"); write(r, []byte(ccs)) },
	"CCS long, message": func(r *tlspeer.Raw) { r.Send(handshake, "\x18"); write(r, []byte("\x14\x03\x03\x00\x02\x01\x01")) },

	"close_notify":            func(r *tlspeer.Raw) { r.Send(alert, "\x01\x00") },
	"close_notify as fatal":   func(r *tlspeer.Raw) { r.Send(alert, "\x02\x00") },
	"close_notify after data": func(r *tlspeer.Raw) { r.Send(data, "a"); r.Send(alert, "\x01\x00") },
	"data after close_notify": func(r *tlspeer.Raw) { r.Send(alert, "\x01\x00"); r.Send(data, "a") },
	"user_canceled":           func(r *tlspeer.Raw) { r.Send(alert, "\x01\x5a") },
	"17 user_canceled":        func(r *tlspeer.Raw) { repeat(r, 17, alert, "\x01\x5a") },
	"20 user_canceled":        func(r *tlspeer.Raw) { repeat(r, 20, alert, "\x02\x5a") },
	"warning":                 func(r *tlspeer.Raw) { r.Send(alert, "\x01\x64") },
	"fatal":                   func(r *tlspeer.Raw) { r.Send(alert, "\x02\x28") },
	"alert of level 3":        func(r *tlspeer.Raw) { r.Send(alert, "\x03\x28") },
	"unknown alert":           func(r *tlspeer.Raw) { r.Send(alert, "\x02\xff") },
	"alert of one byte":       func(r *tlspeer.Raw) { r.Send(alert, "\x02") },
	"two alerts":              func(r *tlspeer.Raw) { r.Send(alert, "\x01\x5a\x01\x00") },

	"KeyUpdate":                  func(r *tlspeer.Raw) { r.UpdateKeys(false) },
	"KeyUpdate requested":        func(r *tlspeer.Raw) { r.UpdateKeys(true) },
	"KeyUpdate of 2":             func(r *tlspeer.Raw) { r.Send(handshake, "\x18\x00\x00\x01\x02") },
	"KeyUpdate empty":            func(r *tlspeer.Raw) { r.Send(handshake, "\x18\x00\x00\x00") },
	"KeyUpdate of two bytes":     func(r *tlspeer.Raw) { r.Send(handshake, "\x18\x00\x00\x02\x00\x00") },
	"KeyUpdate, too long":        func(r *tlspeer.Raw) { r.Send(handshake, "\x18\x01\x00\x01") },
	"KeyUpdate without new key":  func(r *tlspeer.Raw) { r.Send(handshake, tlspeer.KeyUpdate(false)) },
	"new key without KeyUpdate":  func(r *tlspeer.Raw) { r.Out.Update() },
	"16 KeyUpdates":              func(r *tlspeer.Raw) { updates(r, 16) },
	"20 KeyUpdates":              func(r *tlspeer.Raw) { updates(r, 20) },
	"16 KeyUpdates, data, again": func(r *tlspeer.Raw) { updates(r, 16); r.Send(data, "a"); updates(r, 16) },
	"KeyUpdate padded": func(r *tlspeer.Raw) {
		write(r, r.Seal(handshake, tlspeer.KeyUpdate(true), 50))
		r.Out.Update()
	},
	"KeyUpdate in pieces": func(r *tlspeer.Raw) {
		for _, piece := range tlspeer.KeyUpdate(true) {
			r.Send(handshake, string(piece))
		}
		r.Out.Update()
	},
	"KeyUpdate in two": func(r *tlspeer.Raw) {
		r.Send(handshake, "\x18\x00\x00\x01")
		r.Send(handshake, "\x01")
		r.Out.Update()
	},
	"two KeyUpdates in one":    func(r *tlspeer.Raw) { r.Send(handshake, tlspeer.KeyUpdate(true)+tlspeer.KeyUpdate(false)) },
	"KeyUpdate and a part":     func(r *tlspeer.Raw) { r.Send(handshake, tlspeer.KeyUpdate(false)+"\x18") },
	"pieces over the end":      func(r *tlspeer.Raw) { r.Send(handshake, "\x18\x00\x00"); r.Send(handshake, "\x01\x00\x18") },
	"data in a message":        func(r *tlspeer.Raw) { r.Send(handshake, "\x18\x00\x00"); r.Send(data, "a") },
	"empty data in a message":  func(r *tlspeer.Raw) { r.Send(handshake, "\x18\x00\x00"); r.Send(data, "") },
	"alert in a message":       func(r *tlspeer.Raw) { r.Send(handshake, "\x18\x00\x00"); r.Send(alert, "\x01\x00") },
	"empty piece in a message": func(r *tlspeer.Raw) { r.Send(handshake, "\x18\x00\x00"); r.Send(handshake, "") },
	"end in a message":         func(r *tlspeer.Raw) { r.Send(handshake, "\x18\x00\x00"); end(r) },
	"Finished":                 func(r *tlspeer.Raw) { r.Send(handshake, "\x14\x00\x00\x20"+strings.Repeat("a", 32)) },
	"HelloRequest":             func(r *tlspeer.Raw) { r.Send(handshake, "\x00\x00\x00\x00") },
	"unknown message":          func(r *tlspeer.Raw) { r.Send(handshake, "\x63\x00\x00\x01a") },
	"EndOfEarlyData":           func(r *tlspeer.Raw) { r.Send(handshake, "\x05\x00\x00\x00") },
	"long message":             func(r *tlspeer.Raw) { r.Send(handshake, "\x14\x01\x00\x01") },
	"longest Certificate":      func(r *tlspeer.Raw) { r.Send(handshake, "\x0b\x04\x00\x01") },
	"message of 2^24":          func(r *tlspeer.Raw) { r.Send(handshake, "\x63\xff\xff\xff") },
	"ticket":                   func(r *tlspeer.Raw) { r.Send(handshake, ticket) },
	"certificate request": func(r *tlspeer.Raw) {
		r.Send(handshake, "\x0d\x00\x00\x0b\x00\x00\x08\x00\x0d\x00\x04\x00\x02\x04\x03")
	},
	"KeyUpdate after a message": func(r *tlspeer.Raw) { r.Send(handshake, "\x05\x00\x00\x00"+tlspeer.KeyUpdate(false)) },
}

// ticket is a NewSessionTicket with a ticket of one byte.
const ticket = "\x04\x00\x00\x0e\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00"

func write(r *tlspeer.Raw, b []byte) { _, _ = r.Write(b) }

// end is the end of what the client sends.
func end(r *tlspeer.Raw) { _ = r.Conn.(interface{ CloseWrite() error }).CloseWrite() }

func flip(b []byte, i int) []byte {
	b[i] ^= 1
	return b
}

func repeat(r *tlspeer.Raw, n int, kind byte, content string) {
	for range n {
		r.Send(kind, content)
	}
}

func updates(r *tlspeer.Raw, n int) {
	for i := range n {
		r.UpdateKeys(i%2 == 0)
	}
}

// outcome is what a server makes of it.
type outcome struct {
	data    string           // that it has read
	err     string           // of Read
	temp    bool             // that error is temporary
	again   string           // of Read once more
	written string           // the error of Write after that, if it was no success
	answers []tlspeer.Record // what the client got
	client  string           // what the client could not open
}

// serve has a server, of crypto/tls or of this package, read what a client sends.
func serve(t *testing.T, send func(r *tlspeer.Raw), ours bool) (o outcome) {
	t.Helper()
	clientEnd, serverEnd := tlspeer.Pipe()
	client, server, log := tlspeer.Pair(t, clientEnd, serverEnd, tlspeer.ServerConfig(t))
	raw := tlspeer.NewRaw(t, clientEnd, client, log)
	var conn net.Conn = server
	if ours {
		conn = goOn(t, serverEnd, server, log)
	}
	send(raw)
	raw.Send(data, "the end")
	end(raw)
	got, err := io.ReadAll(conn)
	o.data, o.err = string(got), text(err)
	if e, ok := err.(net.Error); ok {
		o.temp = e.Temporary() //nolint:staticcheck // net/http asks for it
	}
	_, err = conn.Read(make([]byte, 1))
	o.again = text(err)
	_, err = conn.Write([]byte("answer"))
	o.written = text(err)
	_ = serverEnd.Close()
	o.answers, err = raw.ReceiveAll()
	o.client = text(err)
	// Some errors are not final in crypto/tls, and the second Read sends the alert again.
	if i := slices.IndexFunc(o.answers, func(r tlspeer.Record) bool { return r.Kind == alert }); i >= 0 {
		o.answers = o.answers[:i+1]
	}
	return o
}

// text is an error's. For a message that is no KeyUpdate there are several.
func text(err error) string {
	switch {
	case err == nil:
		return ""
	case strings.HasPrefix(err.Error(), "tls: received "):
		return "local error: tls: unexpected message"
	}
	return err.Error()
}

// hardened are the rows about which crypto/tls has changed its mind: go.dev/issue/80528 and GO-2026-4870. This package answers as it does since.
var hardened = []string{"20 KeyUpdates", "two KeyUpdates in one", "KeyUpdate and a part", "pieces over the end"}

// isHardened reports whether the crypto/tls of this Go has both changes. These versions have them; some before them may.
func isHardened() bool {
	least := map[string]string{"go1.25": "go1.25.14", "go1.26": "go1.26.8"}[version.Lang(runtime.Version())]
	return version.Compare(runtime.Version(), least) >= 0
}

// TestRefusals compares what this package answers to each of the refusals with what crypto/tls does, in the same run.
func TestRefusals(t *testing.T) {
	tlspeer.EachSuite(t, func(t *testing.T) {
		for name, send := range refusals {
			t.Run(name, func(t *testing.T) {
				if slices.Contains(hardened, name) && !isHardened() {
					t.Skip("this Go's crypto/tls is older than what it is to be compared with")
				}
				want, got := serve(t, send, false), serve(t, send, true)
				if want.data != got.data || want.err != got.err || want.temp != got.temp || want.written != got.written ||
					want.client != got.client || !slices.Equal(want.answers, got.answers) {
					t.Errorf("crypto/tls\n%.600s\nthis package\n%.600s", fmt.Sprintf("%+q", fmt.Sprint(want)), fmt.Sprintf("%+q", fmt.Sprint(got)))
				}
				if got.err != "" && got.again == "" {
					t.Error("Read goes on after an error")
				}
			})
		}
	})
}
