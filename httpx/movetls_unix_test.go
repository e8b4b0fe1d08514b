//go:build unix

package httpx_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/httpx"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/lockedbuf"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/succession"
)

const (
	silentKey = "https web"
	sealedKey = "https (TLS 1) web"
)

// secureGeneration is a generation with TLS whose connections move with their keys.
func secureGeneration(t *testing.T, network string, srv *http.Server, conf *tls.Config) *generation {
	t.Helper()
	return secureResuming(t, network, &httpx.Server{Server: srv}, conf)
}

// secureResuming is secureGeneration for those who set more.
func secureResuming(t *testing.T, network string, srv *httpx.Server, conf *tls.Config) *generation {
	t.Helper()
	serving := make(chan struct{})
	g := &generation{
		Listener: listener.New(loopback.Listen(t, network), listener.Options{
			Group: "web", SilentKey: silentKey, SealedKey: sealedKey, OnAccept: func() { close(serving) },
		}),
		http: srv,
	}
	g.succession = succession.New(t, g.Listener)
	g.secure = listener.NewTLS(g.Listener, conf.Clone())
	g.serve(t, g.secure)
	<-serving
	return g
}

// named is secureGeneration that answers with its name.
func named(t *testing.T, name string) *generation {
	t.Helper()
	return secureGeneration(t, "tcp", &http.Server{Handler: by(name)}, serverTLS)
}

// secureClient makes the handshake with g. It counts nothing: there is one connection.
func (g *generation) secureClient(t *testing.T, change func(*tls.Config)) *client1 {
	t.Helper()
	c := g.client(t)
	conf := clientTLS.Clone()
	if change != nil {
		change(conf)
	}
	tc := tls.Client(c.Conn, conf)
	if err := tc.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return newClient1(tc)
}

// wantStayed wants those that stayed to be counted so.
func (g *generation) wantStayed(t *testing.T, want map[string]uint64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%v stayed", want), func() bool { return maps.Equal(g.Stayed(), want) })
}

// wantPost posts, and wants the answer to be by the generation of that name.
func (c *client1) wantPost(t *testing.T, name, body string) {
	t.Helper()
	if got, err := c.post(body); got != name+": "+body || err != nil {
		t.Fatalf("answer %q, %v, want %q", got, err, name+": "+body)
	}
}

// wantTold wants an answer that closes the connection, soon: the server notices the drain in a goroutine of its own.
func (c *client1) wantTold(t *testing.T) {
	t.Helper()
	eventually(t, "told to go", func() bool {
		_, err := c.post("y")
		if err != nil && !strings.Contains(err.Error(), "Connection: close") {
			t.Fatal(err)
		}
		return err != nil
	})
}

// A connection goes through a line of generations, idle and between requests, and never ends.
func TestTLSMovesThroughALineOfGenerations(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, protos := range [][]string{nil, {"http/1.1"}} {
			line := []*generation{secureGeneration(t, network, &http.Server{Handler: by("0")}, serverTLS)}
			used := line[0].secureClient(t, func(c *tls.Config) { c.NextProtos = protos })
			fresh := line[0].secureClient(t, func(c *tls.Config) { c.NextProtos = protos })
			used.wantPost(t, "0", "first")
			for i := range 4 {
				name := fmt.Sprint(i + 1)
				next := secureGeneration(t, network, &http.Server{Handler: by(name)}, serverTLS)
				line[i].replaceBy(t, next)
				line[i].wantMoved(t, 2)
				if i%2 == 0 { // else it moves on without having said anything
					used.wantPost(t, name, strings.Repeat("x", 40_000))
					used.wantPost(t, name, "again")
				}
				line = append(line, next)
			}
			fresh.wantPost(t, "4", "at last")
			used.wantPost(t, "4", "still")
			for _, g := range line {
				g.wantStayed(t, nil)
			}
		}
	}
}

// A request that is being handled is answered before the connection moves.
func TestTLSMovesAfterTheAnswer(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	old := secureGeneration(t, "tcp", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-release
		by("old").ServeHTTP(w, r)
	})}, serverTLS)
	next := named(t, "new")
	c := old.secureClient(t, nil)
	answer := make(chan error, 1)
	go func() {
		got, err := c.post("slow")
		if err == nil && got != "old: slow" {
			err = errors.New(got)
		}
		answer <- err
	}()
	<-asked
	old.replaceBy(t, next)
	close(release)
	if err := <-answer; err != nil {
		t.Fatal(err)
	}
	old.wantMoved(t, 1)
	c.wantPost(t, "new", "next")
}

// Requests that are sent at once are answered by whoever had them, and the connection moves behind the last.
func TestTLSMovesBehindPipelinedRequests(t *testing.T) {
	old, next := named(t, "old"), named(t, "new")
	c := old.secureClient(t, nil)
	const one = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"
	for range 20 {
		io.WriteString(c, one+"a"+one+"b"+one[:10])
		c.wantBy(t, "old", "a")
		c.wantBy(t, "old", "b")
		io.WriteString(c, one[10:]+"c")
		c.wantBy(t, "old", "c")
	}
	io.WriteString(c, one+"a"+one+"b"+one[:10])
	c.wantBy(t, "old", "a")
	old.replaceBy(t, next)
	c.wantBy(t, "old", "b")
	if got := old.Stats().Out; got != 0 {
		t.Fatalf("%d connections have moved within a request", got)
	}
	io.WriteString(c, one[10:]+"c")
	c.wantBy(t, "old", "c")
	old.wantMoved(t, 1)
	c.wantPost(t, "new", "d")
}

// What programs know of a connection is the same after a move.
func TestTLSStateAfterAMove(t *testing.T) {
	type seen struct {
		remote, proto, name string
		version, suite      uint16
		resumed, complete   bool
	}
	look := func(into *seen) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.TLS == nil {
				t.Error("r.TLS = nil")
				return
			}
			*into = seen{r.RemoteAddr, r.TLS.NegotiatedProtocol, r.TLS.ServerName, r.TLS.Version, r.TLS.CipherSuite, r.TLS.DidResume, r.TLS.HandshakeComplete}
			by("it").ServeHTTP(w, r)
		})
	}
	cache := tls.NewLRUClientSessionCache(1)
	for _, resumed := range []bool{false, true} {
		var before, after seen
		var states lockedbuf.Buffer
		conf := serverTLS.Clone()
		conf.SetSessionTicketKeys([][32]byte{{1}})
		old := secureGeneration(t, "tcp", &http.Server{Handler: look(&before)}, conf)
		next := secureGeneration(t, "tcp", &http.Server{Handler: look(&after), ConnState: func(c net.Conn, s http.ConnState) {
			_, secure := c.(interface{ ConnectionState() tls.ConnectionState })
			fmt.Fprintf(&states, "%s %v;", s, secure)
		}}, conf)
		c := old.secureClient(t, func(conf *tls.Config) {
			conf.NextProtos, conf.ClientSessionCache = []string{"http/1.1"}, cache
		})
		c.wantPost(t, "it", "x")
		old.replaceBy(t, next)
		old.wantMoved(t, 1)
		c.wantPost(t, "it", "x")
		if before != after || after.resumed != resumed || after.name != "example.com" || after.version != tls.VersionTLS13 {
			t.Errorf("after the move %+v, before %+v, resumed %v", after, before, resumed)
		}
		eventually(t, "idle", func() bool { return states.String() == "new true;active true;idle true;" })
	}
}

// A connection that has moved can be hijacked, and stays then.
func TestTLSIsHijackedAfterAMove(t *testing.T) {
	old := named(t, "old")
	next := secureGeneration(t, "tcp", &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			by("new").ServeHTTP(w, r)
			return
		}
		c, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, "hijacked\n")
		io.Copy(c, buffered)
	})}, serverTLS)
	c := old.secureClient(t, nil)
	c.wantPost(t, "old", "x")
	old.replaceBy(t, next)
	old.wantMoved(t, 1)
	c.wantPost(t, "new", "y")
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if line, err := c.br.ReadString('\n'); line != "hijacked\n" || err != nil {
		t.Fatalf("read %q, %v", line, err)
	}
	next.replaceBy(t, named(t, "newest"))
	for range 3 {
		io.WriteString(c, "words\n")
		if line, err := c.br.ReadString('\n'); line != "words\n" || err != nil {
			t.Fatalf("read %q, %v, want the words back", line, err)
		}
	}
	if got := next.Stats().Out; got != 0 {
		t.Errorf("%d connections have moved", got)
	}
}

// Many connections under load, in a line of generations: none ends, and no answer is lost.
func TestTLSMovesUnderLoad(t *testing.T) {
	const clients, upgrades = 20, 5
	now := named(t, "0")
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i := range clients {
		c := now.secureClient(t, nil)
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := c.post(strings.Repeat("x", (i*997+n*31)%20_000)); err != nil {
					t.Errorf("client %d, request %d: %v", i, n, err)
					return
				}
				if i%4 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	for u := range upgrades {
		next := named(t, fmt.Sprint(u+1))
		now.replaceBy(t, next)
		now.wantMoved(t, clients)
		now = next
	}
	close(stop)
	all.Wait()
}

// Bytes that come with the deadline of a wake are not lost, whoever reads them.
func TestTLSRequestsMeetTheDrain(t *testing.T) {
	for range 30 {
		old, next := named(t, "old"), named(t, "new")
		c := old.secureClient(t, nil)
		c.wantPost(t, "old", "x")
		sent := make(chan error, 1)
		go func() {
			_, err := c.post("y")
			sent <- err
		}()
		old.replaceBy(t, next)
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		old.wantMoved(t, 1)
		c.wantPost(t, "new", "z")
	}
}

func isReset(err error) bool { return strings.Contains(err.Error(), "reset") }

func newLog(w io.Writer) *log.Logger { return log.New(w, "", 0) }

// otherCertificate returns one that no client believes.
func otherCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
