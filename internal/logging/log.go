// Package logging writes gozd's own lines: the log of a program that has no logger, and errors for a person.
package logging

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/printable"
)

// The marks of gozd's own lines, as in the 2013 framework.
const (
	MarkLog   = "[GOZD] "
	MarkError = "[GOZDERR] "
)

// markHandler writes text lines, those of errors with a mark of their own.
type markHandler struct{ plain, failed slog.Handler }

// New returns the logger of a program that has none: everything if
// verbose, else what an operator looks for after a deploy, at the levels from
// Info on.
func New(w io.Writer, verbose bool, format config.LogFormat) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	if u, ok := w.(*unstuck); ok {
		u.missing = func(lines int) []byte { // in the form of all others
			var b bytes.Buffer
			New(&b, verbose, format).Error("lines of the log are missing: nobody has read it for some time", "lines", lines)
			return b.Bytes()
		}
	}
	opts := &slog.HandlerOptions{Level: level}
	if format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(&markHandler{
		plain:  slog.NewTextHandler(&markWriter{w, MarkLog}, opts),
		failed: slog.NewTextHandler(&markWriter{w, MarkError}, opts),
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

// PrintError prints one line for each line of err: with the mark of gozd's own
// log if that is shown, else with the program's name.
func PrintError(verbose bool, err error) { fprintError(os.Stderr, os.Args[0], verbose, err) }

func fprintError(w io.Writer, arg0 string, verbose bool, err error) {
	mark := arg0[strings.LastIndexByte(arg0, os.PathSeparator)+1:] + ": "
	if verbose {
		mark = MarkError
	}
	for line := range strings.Lines(printable.Text(err.Error())) {
		_, _ = fmt.Fprintf(w, "%s%s\n", mark, strings.TrimSuffix(line, "\n"))
	}
}
