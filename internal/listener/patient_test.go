package listener_test

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/listener"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/memnet"
)

func acceptError(errno syscall.Errno) error {
	return &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", errno)}
}

func TestPatient(t *testing.T) {
	emfile, enfile := acceptError(syscall.EMFILE), acceptError(syscall.ENFILE)
	invalid := acceptError(syscall.EINVAL)
	tests := []struct {
		name string
		errs []error
		want error
		took time.Duration
	}{
		{"no error", nil, nil, 0},
		{"one", []error{emfile}, nil, 5 * time.Millisecond},
		{"three", []error{emfile, enfile, emfile}, nil, 35 * time.Millisecond},
		{"waits at most a second", []error{emfile, emfile, emfile, emfile, emfile, emfile, emfile, emfile, emfile, emfile}, nil, 3275 * time.Millisecond},
		{"permanent", []error{invalid}, invalid, 0},
		{"closed", []error{net.ErrClosed}, net.ErrClosed, 0},
		{"permanent after temporary", []error{emfile, invalid}, invalid, 5 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memnet.Listen()
				defer mem.Close()
				ln := listener.New(&memnet.Failing{Listener: mem, Errs: tt.errs}, listener.Options{})
				if tt.want == nil {
					go func() {
						if c, err := mem.Dial(); err == nil {
							c.Close()
						}
					}()
				}
				start := time.Now()
				err := <-accept(listener.RetryTemporary(ln))
				if err != tt.want { //nolint:errorlint // it must not be wrapped
					t.Errorf("Accept = %v, want %v", err, tt.want)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("Accept took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

// A drain that begins while Patient waits still holds Accept.
func TestPatientWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &memnet.Failing{Listener: memnet.Listen(), Errs: []error{acceptError(syscall.EMFILE)}}
		release := make(chan struct{})
		ln := listener.New(inner, listener.Options{Release: release})
		accepted := accept(listener.RetryTemporary(ln))
		synctest.Wait()
		ln.StopAccepting()
		time.Sleep(time.Hour)
		if len(accepted) != 0 {
			t.Fatalf("Accept = %v before Release", <-accepted)
		}
		close(release)
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v, want net.ErrClosed", err)
		}
	})
}
