package engine

import (
	"context"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

// askTime is how long another generation may take to say how it is.
const askTime = 500 * time.Millisecond

// processBegan is when this process began, or a moment later.
var processBegan = time.Now()

// status describes the daemon. Only the generation that serves speaks for others: each of
// them answers for itself, and one that cannot is unresponsive.
func (e *Engine) status(ctx context.Context, alone bool) *protocol.Status {
	s := &protocol.Status{
		PIDFile:    e.PIDFile(),
		Config:     e.conf.File,
		Log:        e.conf.Daemon.Log,
		Generation: e.Generation(),
		Upgrades:   e.upgradesDone(),
	}
	if alone || !e.phaseIs(serving) {
		s.Generations = []protocol.Generation{e.describe()}
		return s
	}
	older, newer := e.others()
	var asked sync.WaitGroup
	for _, others := range [][]relative{older, newer} {
		for i := range others {
			asked.Go(func() { others[i].ask(ctx) })
		}
	}
	asked.Wait()
	for _, r := range older {
		s.Generations = append(s.Generations, r.known)
	}
	s.Generations = append(s.Generations, e.describe())
	for _, r := range newer {
		s.Generations = append(s.Generations, r.known)
	}
	return s
}

func (e *Engine) upgradesDone() protocol.Upgrades {
	e.mu.Lock()
	defer e.mu.Unlock()
	u := protocol.Upgrades{
		InProgress:  e.attempt != nil,
		Succeeded:   e.up.Next() - 2, // each has brought up one, also one that has died since
		Failed:      e.failedLocked(),
		LastFailure: e.failure,
		LastSeconds: e.lastSeconds,
	}
	if e.successor != 0 {
		u.InProgress = false
	}
	return u
}

// relative is another generation that lives, with what is known of it.
type relative struct {
	known   protocol.Generation
	pidfile string // its control socket lies beside it; empty if it has none
}

// ask has the generation say how it is. It leaves what is known if there is no answer.
func (r *relative) ask(ctx context.Context) {
	if r.pidfile == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	c := client.At(r.pidfile, r.known.PID)
	s, err := c.StatusAlone(ctx)
	if err != nil {
		return
	}
	for _, g := range s.Generations {
		if g.PID == r.known.PID && g.StartTime == r.known.StartTime {
			r.known = g
		}
	}
}

// others returns the other generations that live: the older ones, oldest first, and the one that
// starts or is on probation.
func (e *Engine) others() (older, newer []relative) {
	for _, a := range e.livingAncestors() {
		older = append(older, relative{pidfile: a.PIDFile, known: protocol.Generation{
			Generation: a.Generation, PID: a.PID, StartTime: a.StartTime, State: protocol.Unresponsive,
		}})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.attempt == nil || e.attempt.pid == 0 || e.successor != 0 {
		return older, nil
	}
	next := relative{known: protocol.Generation{
		Generation: e.attempt.generation, PID: e.attempt.pid, StartTime: e.attempt.startTime,
		State: protocol.Starting, Started: e.attempt.started, Since: e.attempt.started,
	}}
	if e.candidate != nil {
		next.pidfile, next.known.State = e.PIDFile(), protocol.Unresponsive
		next.known.Since, next.known.Until = time.Time{}, e.candidate.until
	}
	return older, []relative{next}
}

// describe describes this generation.
func (e *Engine) describe() protocol.Generation {
	g := protocol.Generation{
		Generation: e.Generation(),
		PID:        os.Getpid(),
		StartTime:  startTime(),
		Started:    processBegan,
		Binary:     e.binary,
		Build:      build(),
		Groups:     e.describeGroups(),
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	g.State, g.Since = e.phase.state(), e.entered
	switch {
	case e.phase == onProbation:
		g.Until = e.probationUntil
	case e.phase.drains():
		g.Reason, g.Until = string(e.why), e.drainage.until
	}
	return g
}

func (p phase) state() protocol.State {
	switch p {
	case starting:
		return protocol.Starting
	case onProbation:
		return protocol.Probation
	case serving:
		return protocol.Serving
	}
	return protocol.Draining
}

func (e *Engine) describeGroups() []protocol.Group {
	groups := make([]protocol.Group, 0, len(e.order))
	for _, g := range e.order {
		stats, addr := g.ln.Stats(), g.ln.Addr()
		groups = append(groups, protocol.Group{
			Name:     g.conf.Name,
			Mode:     string(g.conf.Mode),
			Network:  addr.Network(),
			Address:  addr.String(),
			Open:     stats.Open,
			Parked:   stats.Parked,
			Accepted: stats.Accepted,
			MovedIn:  stats.In,
			MovedOut: stats.Out,
			Cut:      stats.Cut,
		})
	}
	return groups
}

// build is what the toolchain has noted in this binary.
var build = sync.OnceValue(func() protocol.Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return protocol.Build{}
	}
	setting := func(key string) string {
		i := slices.IndexFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == key })
		if i < 0 {
			return ""
		}
		return info.Settings[i].Value
	}
	at, _ := time.Parse(time.RFC3339, setting("vcs.time")) // zero where it is not noted
	return protocol.Build{
		Module:   info.Main.Path,
		Version:  info.Main.Version,
		Revision: setting("vcs.revision"),
		Time:     at,
		Modified: setting("vcs.modified") == "true",
		Go:       info.GoVersion,
	}
})
