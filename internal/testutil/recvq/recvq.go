// Package recvq has tests wait until the other side has read what was sent.
package recvq

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// AwaitEmpty waits until the process at the other end of c, a TCP connection over
// IPv4 on this machine, has read all that has been sent on it. It asks the kernel
// for the length of the receive queue, in /proc; where there is none the test is
// skipped.
func AwaitEmpty(tb testing.TB, c net.Conn) {
	tb.Helper()
	serverSide := hexAddr(tb, c.RemoteAddr()) + " " + hexAddr(tb, c.LocalAddr())
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		text, err := os.ReadFile("/proc/net/tcp")
		if err != nil {
			require.Missing(tb, fmt.Sprintf("the length of a socket's queue: %v", err))
		}
		if isEmpty(string(text), serverSide) {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatal("the other side has not read everything after 30 s")
		}
	}
}

// isEmpty looks for the line "sl: local remote state tx_queue:rx_queue ...".
func isEmpty(table, addresses string) bool {
	for line := range strings.Lines(table) {
		if strings.Contains(line, addresses) {
			return strings.HasSuffix(strings.Fields(line)[4], ":00000000")
		}
	}
	return false
}

// hexAddr is an address as /proc/net/tcp has it.
func hexAddr(tb testing.TB, addr net.Addr) string {
	tb.Helper()
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		tb.Fatal(err)
	}
	ip := ap.Addr().Unmap().As4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], ap.Port())
}
