package memnet_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
)

func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		l := memnet.Listen()
		accepted := make(chan net.Conn, 1)
		go func() {
			c, _ := l.Accept()
			accepted <- c
		}()
		if c1, err = l.Dial(); err != nil {
			return nil, nil, nil, err
		}
		c2 = <-accepted
		return c1, c2, func() { c1.Close(); c2.Close(); l.Close() }, nil
	})
}

func TestCloseEndsAcceptAndDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen()
		ended := make(chan error, 1)
		go func() {
			_, err := l.Accept()
			ended <- err
		}()
		synctest.Wait()
		if len(ended) != 0 {
			t.Fatalf("Accept = %v before Close", <-ended)
		}
		for range 2 {
			if err := l.Close(); err != nil {
				t.Errorf("Close = %v, want nil", err)
			}
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v, want net.ErrClosed", err)
		}
		if c, err := l.Dial(); c != nil || !errors.Is(err, net.ErrClosed) {
			t.Errorf("Dial = %v, %v, want nil, net.ErrClosed", c, err)
		}
	})
}

func TestTimeInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen()
		go func() {
			c, _ := l.Accept()
			time.Sleep(time.Hour)
			io.WriteString(c, "late")
			c.Close()
		}()
		c, err := l.Dial()
		if err != nil {
			t.Fatal(err)
		}
		l.Close() // the connection goes on
		start := time.Now()
		got, err := io.ReadAll(c)
		if string(got) != "late" || err != nil || time.Since(start) != time.Hour {
			t.Errorf("read %q, %v after %v, want %q after an hour", got, err, time.Since(start), "late")
		}
		c.Close()
	})
}
