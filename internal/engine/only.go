package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/runfiles"
)

// only is a function of the program's that runs in one generation at a time: in the one that serves, when the one before has returned from
// it.
type only struct {
	*Engine
	name string
	run  func(context.Context)

	busy sync.Mutex // held while run may be running in this generation
}

// onlys are all of a generation. The zero value is none.
type onlys struct {
	mu  sync.Mutex // guards what follows
	all []*only
}

// Only has run be called whenever this generation serves, and no other is still in it.
func (e *Engine) Only(name string, run func(context.Context)) error {
	if !isOnlyName(name) {
		return fmt.Errorf("gozd: Only: %q is not a name: it takes ASCII letters, digits, _ and -, and at most %d bytes", name, maxOnlyName)
	}
	o := &only{Engine: e, name: name, run: run}
	if !e.hooks.only.add(o) {
		return fmt.Errorf("%w: %q", ErrOnlyInUse, name)
	}
	go o.live()
	return nil
}

// maxOnlyName is in bytes. The name is part of that of a file.
const maxOnlyName = 64

// isOnlyName leaves out the point: the files of two PID files, such as app.pid and app.pid.x, must not have one name.
func isOnlyName(name string) bool {
	const chars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	return name != "" && len(name) <= maxOnlyName && strings.Trim(name, chars) == ""
}

// add reports false for a name that is there.
func (s *onlys) add(o *only) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.all, func(other *only) bool { return other.name == o.name }) {
		return false
	}
	s.all = append(s.all, o)
	return true
}

// awaitReturned waits until none of them runs. It is called when this generation serves no longer, so none begins.
func (s *onlys) awaitReturned() {
	s.mu.Lock()
	all := slices.Clone(s.all)
	s.mu.Unlock()
	for _, o := range all {
		o.awaitReturned()
	}
}

func (o *only) awaitReturned() {
	o.busy.Lock()
	defer o.busy.Unlock()
}

// live has run be called in each term of this generation.
func (o *only) live() {
	select {
	case <-o.begun.Done():
	case <-o.done.Done():
		return
	}
	for {
		t := o.life.now()
		o.serve(t)
		select {
		case <-t.resumed.Done():
		case <-o.done.Done():
			return
		}
	}
}

// serve calls run, once it is this generation's turn. It does not where its term ends before.
func (o *only) serve(t *term) {
	o.busy.Lock()
	defer o.busy.Unlock()
	turn := o.await(t.serves)
	if turn == nil {
		return
	}
	defer func() {
		if err := turn.Release(); err != nil {
			o.log.Warn("file of Only not removed", "name", o.name, "error", err)
		}
	}()
	o.log.Debug("run of Only begins", "name", o.name)
	o.run(t.serves)
	o.log.Debug("run of Only has returned", "name", o.name)
}

// How often a generation looks whether it is its turn: at first often, as the one before mostly needs no time, and then as often as the
// program may have to wait.
const (
	firstOnlyInterval = time.Millisecond
	lastOnlyInterval  = 32 * time.Millisecond
)

// onlyPatience is how long a generation waits before it says so.
const onlyPatience = 5 * time.Second

// await returns nil if ctx ends before it is this generation's turn.
func (o *only) await(ctx context.Context) *runfiles.Only {
	pidfiles, began := o.pidfiles(), time.Now()
	patient, failed := true, false
	for interval := firstOnlyInterval; ctx.Err() == nil; interval = min(2*interval, lastOnlyInterval) {
		turn, err := runfiles.TakeOnly(pidfiles, o.name)
		switch {
		case err == nil:
			return turn
		case !errors.Is(err, runfiles.ErrTaken):
			if !failed {
				o.log.Error("run of Only cannot begin", "name", o.name, "error", err)
			}
			failed = true
		case patient && time.Since(began) > onlyPatience:
			patient = false
			o.log.Warn("run of Only waits: that of another generation has not returned", "name", o.name)
		}
		select {
		case <-time.After(interval):
		case <-ctx.Done():
		}
	}
	return nil
}

// pidfiles are those of this generation and of all before it that may live, the oldest first.
func (o *only) pidfiles() []string {
	var paths []string
	for _, p := range append(o.ancestors.living(), o.self) {
		if p.PIDFile != "" && !slices.Contains(paths, p.PIDFile) {
			paths = append(paths, p.PIDFile)
		}
	}
	return paths
}
