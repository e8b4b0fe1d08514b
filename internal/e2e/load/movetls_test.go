package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// moving is a group whose connections move with their keys.
const moving = "[secure]\nmode https\nkey key.pem\ncert cert.pem\nmove_tls yes\nlisten "

// tlsUpgrades is how often those are upgraded.
func tlsUpgrades() int {
	if testing.Short() {
		return 4
	}
	return 20
}

// TestKeepAliveClientsKeepTheirTLSConnection upgrades often under keep-alive clients of TLS of every pace: each uses exactly one
// connection from first to last, whatever generation serves it.
func TestKeepAliveClientsKeepTheirTLSConnection(t *testing.T) {
	upgrades := tlsUpgrades()
	for _, listen := range []string{"127.0.0.1:0", "unix:secure.sock"} {
		t.Run(listen, func(t *testing.T) {
			d := daemontest.Start(t, moving+listen+"\n")
			to := daemontest.Target(t, d, "secure")
			l := load.New(nil)
			for _, think := range []time.Duration{0, 5 * time.Millisecond, 100 * time.Millisecond} {
				for _, split := range []time.Duration{0, time.Millisecond} {
					l.Add(fmt.Sprintf("think %v, split %v", think, split), 3, func() (load.Client, error) {
						return load.NewKeepAlive(to, load.KeepAliveOptions{BodySize: 500, Think: think, Split: split})
					})
				}
			}
			l.Add("large", 2, func() (load.Client, error) {
				return load.NewKeepAlive(to, load.KeepAliveOptions{BodySize: 100_000, Think: 10 * time.Millisecond})
			})
			l.Add("HTTP/2", 3, func() (load.Client, error) {
				return load.NewHTTP2(to, load.HTTP2Options{BodySize: 1000})
			})
			pool, err := load.NewHTTP2Pool(to)
			require.NoError(t, err)
			defer pool.Close()
			l.Add("HTTP/2 streams", 3, func() (load.Client, error) {
				return load.NewHTTP2(to, load.HTTP2Options{BodySize: 1000, Pool: pool})
			})
			loadtest.UpgradeUnderLoad(t, d, l, upgrades)
			for _, s := range l.Recorder().Snapshot().Kinds {
				want := 3
				switch s.Kind {
				case "large":
					want = 2
				case "HTTP/2 streams":
					want = 1
				}
				if s.Connections != want || s.Reconnects != 0 {
					t.Errorf("%s: %d clients used %d connections, %d of them planned", s.Kind, want, s.Connections, s.Reconnects)
				}
				loadtest.WantServed(t, s, 1, upgrades+1)
			}
			if err := d.WaitAlive(t.Context(), 1); err != nil {
				t.Error(err)
			}
		})
	}
}

// onceBody is a body that cannot be rewound: the client that loses its connection with it reports that, and does not try again.
type onceBody struct{ io.Reader }

// TestTransportKeepsItsTLSConnection has Go's own client post bodies that it cannot send twice.
func TestTransportKeepsItsTLSConnection(t *testing.T) {
	for _, proto := range []string{"http/1.1", "h2"} {
		t.Run(proto, func(t *testing.T) { postOverUpgrades(t, proto) })
	}
}

func postOverUpgrades(t *testing.T, proto string) {
	t.Helper()
	d := daemontest.Start(t, moving+"127.0.0.1:0\n")
	to := daemontest.Target(t, d, "secure")
	const clients = 8
	var dials, own, posts atomic.Int32
	var failed sync.Map
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i := range clients {
		conf := to.TLS.Clone()
		conf.NextProtos = []string{proto}
		conf.ServerName = "localhost"
		transport := &http.Transport{
			TLSClientConfig: conf, ForceAttemptHTTP2: proto == "h2",
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				dials.Add(1)
				return new(net.Dialer).DialContext(ctx, network, address)
			},
		}
		if proto == "h2" {
			transport.MaxConnsPerHost = 1 // the connection is in its pool only some time after the first answer
		}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
		all.Go(func() {
			p := poster{client: client}
			if proto == "http/1.1" {
				p.own = &own
			}
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := p.post("https://"+to.Address+"/echo", strings.Repeat("x", 1+n%3000)); err != nil {
					failed.Store(fmt.Sprintf("client %d, post %d", i, n), err)
					return
				}
				posts.Add(1)
				time.Sleep(time.Duration(i+1) * time.Millisecond) // the connection is idle
			}
		})
	}
	for range tlsUpgrades() {
		before := posts.Load()
		daemontest.Await(t, "answers", func() bool { return posts.Load() > before+5*clients || hasAny(&failed) })
		daemontest.Upgrade(t, d)
	}
	close(stop)
	all.Wait()
	failed.Range(func(who, err any) bool {
		t.Errorf("%v: %v", who, err)
		return true
	})
	if got := dials.Load() - own.Load(); got != clients {
		t.Errorf("%d clients have dialled %d times, %d of them because they did not wait for themselves", clients, dials.Load(), own.Load())
	}
	t.Logf("%d posts, %d dials", posts.Load(), dials.Load())
}

func hasAny(m *sync.Map) (found bool) {
	m.Range(func(any, any) bool { found = true; return false })
	return found
}

// poster posts one body after the other, none twice.
type poster struct {
	client *http.Client
	own    *atomic.Int32 // dials, see post; nil for HTTP/2
	last   *atomic.Bool  // http.Transport has kept the connection of the last post; nil before the first
}

// post counts a dial as the transport's own where it dials for HTTP/1.1 although the connection before is not closed: its writer has not said yet that it
// has written the request before, which is answered. On a busy machine that takes a while (persistConn.wroteRequest, Go 1.26).
func (p *poster) post(url, body string) error {
	kept := new(atomic.Bool)
	last := p.last
	p.last = kept
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if p.own != nil && last != nil && !info.Reused && !last.Load() {
				p.own.Add(1)
			}
		},
		PutIdleConn: func(err error) { kept.Store(err == nil) },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, onceBody{strings.NewReader(body)})
	if err != nil {
		return err
	}
	req.ContentLength = int64(len(body))
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && (string(got) != body || resp.Close) {
		err = fmt.Errorf("status %s, %d bytes of %d, the last one %v", resp.Status, len(got), len(body), resp.Close)
	}
	return err
}
