package gozd

import (
	"context"
	"io"
	"log/slog"
	"os"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
)

// The marks of gozd's own lines, as in the original.
const (
	markLog   = "[GOZD] "
	markError = "[GOZDERR] "
)

// setLogger sets the logger, which says of each line who writes it.
func (d *Daemon) setLogger(format cfg.LogFormat) {
	if d.log == nil {
		d.log = newLogger(os.Stderr, d.opts.Verbose, format)
	}
	d.log = d.log.With("generation", d.Generation(), "pid", os.Getpid())
}

// printFailure says why a process of Daemonize did not become one that serves: to the person who has started
// it, or as a line of the log where standard error is that.
func (d *Daemon) printFailure(stage string, err error) {
	inLog := d.logging && d.conf.Daemon.Log != ""
	if !inLog && (d.up == nil || d.Generation() == 1) {
		printError(d.opts.Verbose, err)
		return
	}
	if !d.logging { // the configuration may be what is wrong
		d.setLogger(cfg.LogText)
	}
	d.log.Error("start failed", "stage", stage, "error", err)
}

// markHandler writes text lines, those of errors with a mark of their own.
type markHandler struct{ plain, failed slog.Handler }

// newLogger returns the logger of a program that has none: everything if
// verbose, else warnings and errors.
func newLogger(w io.Writer, verbose bool, format cfg.LogFormat) *slog.Logger {
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelDebug
	}
	opts := &slog.HandlerOptions{Level: level}
	if format == cfg.LogJSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(&markHandler{
		plain:  slog.NewTextHandler(&markWriter{w, markLog}, opts),
		failed: slog.NewTextHandler(&markWriter{w, markError}, opts),
	})
}

// Enabled implements slog.Handler.
func (h *markHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.plain.Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (h *markHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		return h.failed.Handle(ctx, r)
	}
	return h.plain.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *markHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &markHandler{h.plain.WithAttrs(attrs), h.failed.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *markHandler) WithGroup(name string) slog.Handler {
	return &markHandler{h.plain.WithGroup(name), h.failed.WithGroup(name)}
}

// markWriter puts a mark before every line. slog's handlers write a line at a
// time, and one Write keeps lines of several processes apart in one file.
type markWriter struct {
	w    io.Writer
	mark string
}

// Write implements io.Writer.
func (m *markWriter) Write(line []byte) (int, error) {
	if _, err := m.w.Write(append([]byte(m.mark), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}
