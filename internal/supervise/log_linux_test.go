package supervise_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/supervise"
)

// blockable is a log that is written when somebody allows it.
type blockable struct {
	strings.Builder
	allowed chan struct{}
}

func (b *blockable) Write(p []byte) (int, error) {
	<-b.allowed
	return b.Builder.Write(p)
}

// Lines for which there is no room are missing, and that is said when there is some.
func TestLogSaysThatLinesAreMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &blockable{allowed: make(chan struct{})}
		log, end := supervise.Unwaiting(slog.New(slog.NewTextHandler(out, nil)).With("supervisor", 7))
		log.Info("first", "n", 0)
		synctest.Wait() // it is being written
		for n := range supervise.MaxLines + 5 {
			log.With("n", n).Info("more")
		}
		end() // does not wait for what nobody reads
		close(out.allowed)
		synctest.Wait()
		got := out.String()
		if n := strings.Count(got, "\n"); n != supervise.MaxLines+2 || strings.Count(got, "supervisor=7") != n {
			t.Errorf("%d lines are written, want %d of the supervisor", n, supervise.MaxLines+2)
		}
		for _, want := range []string{"msg=first supervisor=7 n=0\n", "some time\" supervisor=7 lines=5\n", fmt.Sprintf("n=%d\n", supervise.MaxLines-1)} {
			if !strings.Contains(got, want) {
				t.Errorf("the log has no %q", want)
			}
		}
	})
}
