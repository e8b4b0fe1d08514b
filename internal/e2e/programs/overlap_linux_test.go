package programs

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// prepareOverlapping makes a daemon of the program overlapping, which does what is named.
func prepareOverlapping(t *testing.T, does, groups string, options ...string) *daemon.Daemon {
	t.Helper()
	d := daemontest.Prepare(t, binaries.Overlapping(t), groups, options...)
	d.Env = append(d.Env, "OVERLAPPING="+does)
	return d
}

func start(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// say has the program do what a line says, on a connection, and returns who has and what it answers.
func say(t *testing.T, conn net.Conn, line string) (generation int, answer string) {
	t.Helper()
	generation, answer, err := tell(conn, line)
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return generation, answer
}

func tell(conn net.Conn, line string) (generation int, answer string, err error) {
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return 0, "", err
	}
	if _, err := fmt.Fprintln(conn, line); err != nil {
		return 0, "", err
	}
	text, err := bufio.NewReader(conn).ReadString('\n') // nothing else follows
	if err != nil {
		return 0, "", err
	}
	number, answer, _ := strings.Cut(strings.TrimSuffix(text, "\n"), " ")
	generation, err = strconv.Atoi(number)
	return generation, answer, err
}

// wantSaid has the program do something, which works.
func wantSaid(t *testing.T, conn net.Conn, line string) {
	t.Helper()
	if n, answer := say(t, conn, line); answer != "" {
		t.Errorf("generation %d answers %q to %q", n, answer, line)
	}
}

// wantServing checks who answers a new client.
func wantServing(t *testing.T, d *daemon.Daemon, generation int) {
	t.Helper()
	conn := dialLine(t, d)
	defer func() { _ = conn.Close() }() // a stop waits for it
	if n, _ := say(t, conn, "hello"); n != generation {
		t.Errorf("generation %d serves, want %d", n, generation)
	}
}

// talk is clients that come, say a line each, and go.
type talk struct {
	answered atomic.Int64
	stop     chan struct{}
	clients  sync.WaitGroup
}

// startTalk has clients talk until the end of the test, or endTalk. None may be lost, nor told of an error.
func startTalk(t *testing.T, d *daemon.Daemon, line string) *talk {
	t.Helper()
	to := daemontest.Target(t, d, "line")
	k := &talk{stop: make(chan struct{})}
	for range 2 {
		k.clients.Go(func() {
			for {
				select {
				case <-k.stop:
					return
				default:
				}
				if err := talkOnce(to.Address, line); err != nil {
					t.Errorf("after %d answers: %v", k.answered.Load(), err)
					return
				}
				k.answered.Add(1)
			}
		})
	}
	t.Cleanup(sync.OnceFunc(func() { k.end() }))
	return k
}

func talkOnce(address, line string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, answer, err := tell(conn, line); err != nil || answer != "" {
		return fmt.Errorf("%q is answered %q, %w", line, answer, err)
	}
	return nil
}

// more waits until more lines have been answered.
func (k *talk) more(t *testing.T) {
	t.Helper()
	before := k.answered.Load()
	daemontest.Await(t, "answers", func() bool { return t.Failed() || k.answered.Load() >= before+20 })
}

func (k *talk) end() {
	select {
	case <-k.stop:
	default:
		close(k.stop)
	}
	k.clients.Wait()
}
