package handover_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/handover"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
)

func init() { roles["many"] = reexec.OrFail(playMany) }

// TestManyDescriptorsOnTheirWay has an ordinary user move more connections at once than may be on their way: each
// waits for its turn, and the channel goes on.
func TestManyDescriptorsOnTheirWay(t *testing.T) {
	cmd := reexec.Ordinary(t, "many", 65533) // there is no limit for root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// playMany moves one connection many times, to a receiver that is slow at first.
func playMany() error {
	const limit, moves = 64, 4 * 64
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		return err
	}
	ours, theirs, err := handover.Pair()
	if err != nil {
		return err
	}
	release := make(chan struct{})
	r, err := handover.NewReceiver([]string{"web"}, func(_ string, c net.Conn, _ []byte) (func(error), error) {
		<-release
		return func(error) { c.Close() }, nil
	})
	if err != nil {
		return err
	}
	if err := r.Add(theirs); err != nil {
		return err
	}
	s, err := handover.NewSender(ours)
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	client, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", ln.Addr().String())
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	conn, _ := client.(syscall.Conn)
	var done sync.WaitGroup
	errs := make([]error, moves)
	for i := range moves {
		done.Go(func() { errs[i] = s.Move("web", nil, conn) })
	}
	time.AfterFunc(200*time.Millisecond, func() { close(release) }) // all are on their way by then, or wait
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("some moves failed, the first: %w", err)
	}
	return nil
}
