//go:build unix

package bench

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// startMixed starts a daemon of examples/mixed, which ends with the benchmark.
func startMixed(b *testing.B, groups string, options ...string) *daemon.Daemon {
	b.Helper()
	dir := b.TempDir()
	binary := filepath.Join(dir, "1", "mixed")
	if err := daemon.Build(b.Context(), binary, "examples/mixed", ""); err != nil {
		b.Fatal(err)
	}
	d, err := daemon.New(dir, binary, groups, options...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := d.Stop(ctx); err != nil {
			b.Errorf("stop: %v", err)
		}
	})
	if err := d.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	return d
}

// median is the upper one of two.
func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
