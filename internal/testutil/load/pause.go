package load

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// loadKey is the context key under which a [Load] tells its clients about
// itself. The context's own end would cut the exchange in flight, and its own
// deadline would run while the user is still thinking.
type loadKey struct{}

type loadInfo struct {
	stop    <-chan struct{} // closed when nothing new should begin
	timeout time.Duration   // of an exchange, 0 if the client's own counts
}

func withLoad(ctx context.Context, info loadInfo) context.Context {
	return context.WithValue(ctx, loadKey{}, info)
}

func loadOf(ctx context.Context) loadInfo {
	info, _ := ctx.Value(loadKey{}).(loadInfo)
	return info
}

// think lets the user think for a random time up to limit. Its error wraps
// ErrNotSent.
func think(ctx context.Context, limit time.Duration) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotSent, context.Cause(ctx))
	}
	if limit <= 0 {
		return nil
	}
	timer := time.NewTimer(rand.N(limit))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-loadOf(ctx).stop:
		return ErrNotSent
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotSent, context.Cause(ctx))
	}
}

// wait is a pause in the middle of an exchange, which a stop does not shorten.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// bound gives an exchange its deadline, if the caller set none: that of the
// load, or the default one, expected later.
func bound(ctx context.Context, expected time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, cmp.Or(loadOf(ctx).timeout, DefaultTimeout+expected))
}
