//go:build unix

package bench

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/freeport"
)

// idleMemory is how many bytes a connection of net/http takes that idles after its
// first request.
func idleMemory(b *testing.B, n int) float64 {
	b.Helper()
	address := freeport.Address(b)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		b.Fatal(err)
	}
	u := startUpgradable(b, "internal/testutil/bare", func(dir string) []string {
		return []string{dir + "/app.pid", "0.0.0.0:" + port}
	})
	first := dialIdle(b, address, "/hello/you", 1)
	first.close()
	without := residentSet(b, u.pid)
	clients := dialIdle(b, address, "/hello/you", n)
	defer clients.close()
	return float64(residentSet(b, u.pid)-without) / float64(n)
}

// residentSet is a process's resident memory in bytes.
func residentSet(b *testing.B, pid int) int {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skipf("memory is read in /proc: %v", err)
	}
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	value, _, _ := strings.Cut(strings.TrimSpace(string(rest)), " kB")
	kB, err := strconv.Atoi(value)
	if err != nil {
		b.Fatalf("VmRSS of %d: %v", pid, err)
	}
	return kB << 10
}
