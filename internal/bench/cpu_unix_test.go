//go:build unix

package bench

import (
	"syscall"
	"testing"
	"time"
)

// reportCPU reports how much of the processors' time an exchange has taken, at both ends, when what it returns is called. Others on the
// machine change that less than how long it takes.
func reportCPU(b *testing.B) (report func()) {
	b.Helper()
	before := usedCPU(b)
	return func() { b.ReportMetric(float64(usedCPU(b)-before)/float64(b.N), "cpu-ns/op") }
}

func usedCPU(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
