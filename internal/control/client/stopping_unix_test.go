//go:build unix

package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/stranger"
)

// Nobody waits for another user's process because a daemon calls it an older generation.
func TestOlderGenerationsOfAnother(t *testing.T) {
	other, since := stranger.Process(t)
	started, err := process.StartTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	all := []protocol.Generation{
		{Generation: 1, PID: other, StartTime: since},
		{Generation: 2, PID: os.Getpid(), StartTime: started},
	}
	if got := client.OwnOf(t.Context(), "app.pid", os.Getuid(), all); len(got) != 1 || got[0].PID != os.Getpid() {
		t.Errorf("Own = %+v, want this process alone", got)
	}
}

// A daemon can name as many generations as it likes, and keeps nobody from the stop by it.
func TestGenerationsAreLookedAtOnce(t *testing.T) {
	all := slices.Repeat([]protocol.Generation{{PID: 8}, {PID: 9}}, 500)
	looked := 0
	got := client.Own(t.Context(), all, func(protocol.Generation) bool { looked++; return false })
	if looked != 2 || len(got) != 2 {
		t.Errorf("%d looks at two processes, Own = %+v", looked, got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	looked = 0
	got = client.Own(ctx, all, func(protocol.Generation) bool { looked++; cancel(); return false })
	if looked != 1 || len(got) != 1 {
		t.Errorf("%d looks after the end, Own = %+v", looked, got)
	}
}

// A daemon that says that it ends, and removes its files, has not ended as long as an older generation lives, or the process that has answered.
func TestStoppingAwaitsWhoWasNamed(t *testing.T) {
	older := exec.CommandContext(t.Context(), "sleep", "60")
	if err := older.Start(); err != nil {
		t.Fatal(err)
	}
	gone := sync.OnceFunc(func() { _, _ = older.Process.Kill(), older.Wait() })
	t.Cleanup(gone)
	start, err := process.StartTime(older.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	pidfile := pidfileIn(t)
	asDaemon(t, pidfile, process.State{Generation: 3, Control: true, Since: time.Now()})
	serve(t, pidfile, func(w http.ResponseWriter, r *http.Request) {
		answer := any(protocol.Answer{Generation: 3, PID: os.Getpid()})
		if r.URL.Path == protocol.PathStatus {
			g := protocol.Generation{Generation: 2, PID: older.Process.Pid, StartTime: start}
			answer = protocol.Status{Generation: 3, Generations: []protocol.Generation{g, g}}
		} else if err := process.RemoveFiles(pidfile); err != nil {
			t.Error(err)
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	})
	var s *client.Stopping
	err = client.Ask(within(t), pidfile, func(c *client.Client) error {
		s = c.PrepareStop(within(t), time.Second)
		return s.Ask(within(t))
	})
	if err != nil {
		t.Fatal(err)
	}
	if known := s.Generations; len(known) != 1 || known[0].PID != older.Process.Pid {
		t.Errorf("known are %v", known)
	}
	self := fmt.Sprintf("generation 3 (pid %d)", os.Getpid())
	both := fmt.Sprintf("generation 2 (pid %d), %s", older.Process.Pid, self)
	for _, want := range []string{both, self} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := s.Await(ctx)
		cancel()
		if !errors.As(err, new(*control.LeftError)) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "have not ended: "+want+": ") {
			t.Errorf("Await = %v, want that these are left: %s", err, want)
		}
		gone()
	}
}

// A daemon that does not say what it has is stopped all the same.
func TestStoppingOfOneThatSaysNothing(t *testing.T) {
	pidfile := pidfileIn(t)
	asDaemon(t, pidfile, process.State{Generation: 3, Control: true, Since: time.Now()})
	serve(t, pidfile, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == protocol.PathStatus {
			<-r.Context().Done() // for longer than anybody waits
			return
		}
		if err := json.NewEncoder(w).Encode(protocol.Answer{Generation: 3}); err != nil {
			t.Error(err)
		}
	})
	err := client.Ask(within(t), pidfile, func(c *client.Client) error {
		s := c.PrepareStop(within(t), 50*time.Millisecond)
		if known := s.Generations; len(known) != 0 {
			t.Errorf("known are %v", known)
		}
		return s.Ask(within(t))
	})
	if err != nil {
		t.Error(err)
	}
}
