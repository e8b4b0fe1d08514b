package freeport

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// lowest is where the ports begin that kernels give to whoever asks for any: 32768 on Linux, 49152 on macOS.
const lowest = 32768

// Outside returns 127.0.0.1 with a port that nobody has, and that the kernel gives to nobody who does not name it: for a test that
// leaves its port for a time.
func Outside(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(lowest/2+rand.IntN(lowest/2))))
		if err == nil {
			require.NoError(tb, ln.Close())
			return ln.Addr().String()
		}
	}
	tb.Fatal("no port is free")
	return ""
}
