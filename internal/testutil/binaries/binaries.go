// Package binaries builds the programs of this module that tests start. Each is
// built when it is first asked for, once in a process of the tests.
package binaries

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
)

// patience is enough for a machine that has to compile everything.
const patience = 5 * time.Minute

// Mixed returns the path of a program with groups of all modes, and Mixed2 that of
// another version of it.
func Mixed(tb testing.TB) string { tb.Helper(); return build(tb, "1/mixed", "examples/mixed", "1") }

// Mixed2 is described at [Mixed].
func Mixed2(tb testing.TB) string { tb.Helper(); return build(tb, "2/mixed", "examples/mixed", "2") }

// Chat returns the path of a program that hands its users' states over; those of Chat1
// are of an older version.
func Chat(tb testing.TB) string { tb.Helper(); return build(tb, "2/chat", "examples/chat", "") }

// Chat1 is described at [Chat].
func Chat1(tb testing.TB) string { tb.Helper(); return build(tb, "1/chat", "examples/chat", "1") }

// Bolt returns the path of a program with a file that only one process may open.
func Bolt(tb testing.TB) string { tb.Helper(); return build(tb, "bolt", "examples/bolt", "") }

// UDP returns the path of a program that answers datagrams of group echo.
func UDP(tb testing.TB) string { tb.Helper(); return build(tb, "udp", "examples/udp", "") }

// SSE returns the path of a program with server-sent events.
func SSE(tb testing.TB) string { tb.Helper(); return build(tb, "sse", "examples/sse", "") }

// Counted returns the path of a program that counts its requests for Prometheus.
func Counted(tb testing.TB) string {
	tb.Helper()
	return build(tb, "counted", "internal/testutil/counted", "")
}

// Hooked returns the path of a program whose hooks do what files in its directory say.
func Hooked(tb testing.TB) string {
	tb.Helper()
	return build(tb, "hooked", "internal/testutil/hooked", "")
}

// Overlapping returns the path of a program that does what docs/overlap.md is about.
func Overlapping(tb testing.TB) string {
	tb.Helper()
	return build(tb, "overlapping", "internal/testutil/overlapping", "")
}

// Ticking returns the path of a program with a ticker that only one generation has.
func Ticking(tb testing.TB) string {
	tb.Helper()
	return build(tb, "ticking", "internal/testutil/ticking", "")
}

// Faulty returns the path of a program that fails as a file in its directory says.
func Faulty(tb testing.TB) string {
	tb.Helper()
	return build(tb, "faulty", "internal/testutil/faulty", "")
}

// OwnServer returns the path of a program that shuts down its own server when it drains.
func OwnServer(tb testing.TB) string {
	tb.Helper()
	return build(tb, "ownserver", "internal/testutil/ownserver", "")
}

// Unencrypted returns the path of a program that serves HTTP/2 without TLS.
func Unencrypted(tb testing.TB) string {
	tb.Helper()
	return build(tb, "unencrypted", "internal/testutil/unencrypted", "")
}

// OwnTLS returns the path of a program with a tls.Config of its own for each group.
func OwnTLS(tb testing.TB) string {
	tb.Helper()
	return build(tb, "owntls", "internal/testutil/owntls", "")
}

// OwnCommands returns the path of a program with a command line of its own, which it changes before gozd sees it.
func OwnCommands(tb testing.TB) string {
	tb.Helper()
	return build(tb, "owncommands", "internal/testutil/owncommands", "")
}

// Flags returns the path of a program with flags of its own, and Cobra that of one with commands.
func Flags(tb testing.TB) string { tb.Helper(); return build(tb, "flags", "examples/flags", "") }

// Cobra is described at [Flags].
func Cobra(tb testing.TB) string { tb.Helper(); return build(tb, "cobra", "examples/cobra", "") }

// Spawner returns the path of a program that starts others.
func Spawner(tb testing.TB) string {
	tb.Helper()
	return build(tb, "spawner", "internal/testutil/spawner", "")
}

// Logging returns the path of a program that logs by itself, into the daemon's file.
func Logging(tb testing.TB) string {
	tb.Helper()
	return build(tb, "logging", "internal/testutil/logging", "")
}

// Watched returns the path of a program with a supervisor.
func Watched(tb testing.TB) string {
	tb.Helper()
	return build(tb, "watched", "internal/testutil/watched", "")
}

// Hostile returns the path of a program that attacks daemons and root, on Linux.
func Hostile(tb testing.TB) string {
	tb.Helper()
	return build(tb, "hostile", "internal/testutil/hostile", "")
}

// Turncoat returns the path of a daemon that turns against its supervisor, on Linux.
func Turncoat(tb testing.TB) string {
	tb.Helper()
	return build(tb, "turncoat", "internal/testutil/turncoat", "")
}

// Hello returns the program of examples/hello.
func Hello(tb testing.TB) string { tb.Helper(); return build(tb, "hello", "examples/hello", "") }

// Mistaken returns a program that makes the mistake it is told to.
func Mistaken(tb testing.TB) string {
	tb.Helper()
	return build(tb, "mistaken", "internal/testutil/mistaken", "")
}

// Gozdctl returns the path of the operator's tool.
func Gozdctl(tb testing.TB) string { tb.Helper(); return build(tb, "gozdctl", "cmd/gozdctl", "") }

// built is what there is already, and where.
var built struct {
	sync.Mutex
	dir   string
	names map[string]bool
}

// build returns the path of a program, which ends in name.
func build(tb testing.TB, name, folder, version string) string {
	tb.Helper()
	built.Lock()
	defer built.Unlock()
	if built.dir == "" {
		dir, err := os.MkdirTemp("", "gozd-binaries-") //nolint:usetesting // other tests want it too
		if err != nil {
			tb.Fatal(err)
		}
		built.dir, built.names = dir, make(map[string]bool)
	}
	path := filepath.Join(built.dir, name)
	if built.names[name] {
		return path
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := daemon.Build(ctx, path, folder, version); err != nil {
		tb.Fatal(err)
	}
	built.names[name] = true
	return path
}

// Remove removes all that has been built. It is for the end of TestMain.
func Remove() error {
	built.Lock()
	defer built.Unlock()
	dir := built.dir
	built.dir, built.names = "", nil
	return os.RemoveAll(dir)
}
