package engine

import (
	"context"
	"crypto/tls"
	"log/slog"
)

// Options are gozd.Options, which has the contracts; that package converts one into the other. Config is never empty here.
type Options struct {
	Config       string
	Logger       *slog.Logger
	Verbose      bool
	ManualReady  bool
	OnUpgrade    func(ctx context.Context) error
	OnReplaced   func()
	OnDrain      func()
	OnResume     func(ctx context.Context) error
	OnParentExit func()
	HealthCheck  func(ctx context.Context) error
	OnReopen     func()
	TLS          func(group string, base *tls.Config) *tls.Config
}
