//go:build unix

package early

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/reexec"
)

func TestMain(m *testing.M) {
	reexec.Main(m, map[string]func(){
		"a generation":                    reexec.OrFail(generation),
		"a successor that does much else": reexec.OrFail(busySuccessor),
		"a process that talks":            reexec.OrFail(talk),
	})
}

// generation ignores the signals at first, as a program may that was no daemon yet when that was written.
func generation() error {
	signal.Ignore(Handled...)
	CatchGeneration()
	return receiveAll()
}

// busySuccessor has not come to CatchGeneration yet.
func busySuccessor() error { return receiveAll() }

func receiveAll() error {
	for _, sig := range Handled {
		if err := syscall.Kill(os.Getpid(), sig.(syscall.Signal)); err != nil {
			return err
		}
		select {
		case got := <-Generation:
			if got != sig {
				return fmt.Errorf("got %v, want %v", got, sig)
			}
		case <-time.After(10 * time.Second):
			return fmt.Errorf("%v does not arrive", sig)
		}
	}
	return nil
}

func TestGenerationCatches(t *testing.T) {
	t.Parallel()
	tests := []struct{ role, variable string }{
		{"a generation", SuccessorEnv + "="},
		{"a generation", SuccessorEnv + "=yes"},
		{"a successor that does much else", SuccessorEnv + "=yes"},
	}
	for _, test := range tests {
		t.Run(test.role+" "+test.variable, func(t *testing.T) {
			t.Parallel()
			if out, err := reexec.Command(t, test.role, test.variable).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
