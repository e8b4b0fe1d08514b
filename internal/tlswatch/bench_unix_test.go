//go:build unix

package tlswatch_test

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loopback"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/tlspeer"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// kinds are the servers that are compared.
var kinds = []string{"crypto/tls", "tracked", "moved"}

// benchPair returns a client, and a server of a kind, over TCP.
func benchPair(tb testing.TB, kind string) (client, server net.Conn) {
	tb.Helper()
	serverEnd, clientEnd := loopback.Pair(tb, "tcp")
	config := tlspeer.ServerConfig(tb)
	config.SessionTicketsDisabled = false
	there := tls.Client(clientEnd, tlspeer.ClientConfig(new(tlspeer.Log)))
	if kind == "crypto/tls" {
		here := tls.Server(serverEnd, config)
		tlspeer.Handshake(tb, there, here)
		return there, here
	}
	watched := tlswatch.New(serverEnd)
	here := tls.Server(watched, tlswatch.Config(config))
	tlspeer.Handshake(tb, there, here)
	talk(tb, there, here)
	if kind == "tracked" {
		return there, here
	}
	idle(tb, here)
	s, err := watched.Freeze()
	require.NoError(tb, err)
	return there, moveOn(tb, s, serverEnd)
}

// cpu measures the processor time of this process, clients included, until what it returns is called: on a machine that is in use it says
// more than the clock.
func cpu(b *testing.B) (end func()) {
	b.Helper()
	used := func() int64 {
		var r unix.Rusage
		require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &r))
		return r.Utime.Nano() + r.Stime.Nano()
	}
	began := used()
	return func() { b.ReportMetric(float64(used()-began)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkRequests has requests of 500 bytes answered by 2000.
func BenchmarkRequests(b *testing.B) {
	for _, kind := range kinds {
		b.Run(kind, func(b *testing.B) {
			client, server := benchPair(b, kind)
			request, answer := make([]byte, 500), make([]byte, 2000)
			go func() {
				read := make([]byte, 500)
				for {
					if _, err := io.ReadFull(server, read); err != nil {
						return
					}
					server.Write(answer)
				}
			}()
			got := make([]byte, 2000)
			b.ReportAllocs()
			defer cpu(b)()
			for b.Loop() {
				client.Write(request)
				if _, err := io.ReadFull(client, got); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBulk has megabytes go one way: from the server, or to it.
func BenchmarkBulk(b *testing.B) {
	for _, way := range []string{"down", "up"} {
		for _, kind := range kinds {
			b.Run(way+"/"+kind, func(b *testing.B) {
				client, server := benchPair(b, kind)
				from, to := server, client
				if way == "up" {
					from, to = client, server
				}
				const size = 1 << 20
				go func() {
					text := make([]byte, size)
					for {
						if _, err := from.Write(text); err != nil {
							return
						}
					}
				}()
				got := make([]byte, 32<<10)
				b.SetBytes(size)
				defer cpu(b)()
				for b.Loop() {
					for n := 0; n < size; {
						m, err := to.Read(got)
						if err != nil {
							b.Fatal(err)
						}
						n += m
					}
				}
			})
		}
	}
}

// BenchmarkHandshake has handshakes with the tracker and without it.
func BenchmarkHandshake(b *testing.B) {
	for _, kind := range kinds[:2] {
		b.Run(kind, func(b *testing.B) {
			base, client := tlspeer.ServerConfig(b), tlspeer.ClientConfig(new(tlspeer.Log))
			base.SessionTicketsDisabled = false
			config := tlswatch.Config(base)
			b.ReportAllocs()
			defer cpu(b)()
			for b.Loop() {
				clientEnd, serverEnd := tlspeer.Pipe()
				here := tls.Server(serverEnd, base)
				if kind == "tracked" {
					here = tls.Server(tlswatch.New(serverEnd), config)
				}
				tlspeer.Handshake(b, tls.Client(clientEnd, client), here)
			}
		})
	}
}

// BenchmarkIdleConnection counts the bytes that an idle connection, its client included, needs with the tracker and without it, and once it
// has moved.
func BenchmarkIdleConnection(b *testing.B) {
	const n = 200
	base := tlspeer.ServerConfig(b)
	client := tlspeer.ClientConfig(new(tlspeer.Log))
	config := tlswatch.Config(base)
	measure := func(kind string) int64 {
		keep := make([]any, 0, 4*n)
		before := heap()
		for range n {
			clientEnd, serverEnd := tlspeer.Pipe()
			watched := tlswatch.New(serverEnd)
			here := tls.Server(serverEnd, base)
			if kind != "crypto/tls" {
				here = tls.Server(watched, config)
			}
			there := tls.Client(clientEnd, client)
			tlspeer.Handshake(b, there, here)
			talk(b, there, here)
			keep = append(keep, there)
			if kind == "crypto/tls" {
				keep = append(keep, here)
				continue
			}
			idle(b, here)
			watched.Rest()
			if kind == "tracked" {
				keep = append(keep, watched, here)
				continue
			}
			s, err := watched.Freeze()
			require.NoError(b, err)
			moved := moveOn(b, s, serverEnd)
			talk(b, there, moved)
			keep = append(keep, moved)
		}
		per := (heap() - before) / n
		runtime.KeepAlive(keep)
		return per
	}
	measure("moved") // what is made once
	for b.Loop() {
		without := measure("crypto/tls")
		b.ReportMetric(float64(without), "crypto/tls-B")
		b.ReportMetric(float64(measure("tracked")-without), "tracked-more-B")
		b.ReportMetric(float64(measure("moved")-without), "moved-more-B")
	}
}

// heap is how many bytes are in use.
func heap() int64 {
	for range 3 { // pools give back in the second one
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
