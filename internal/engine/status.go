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
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/groups"
)

// askTime is how long another generation may take to say how it is.
const askTime = 500 * time.Millisecond

// processBegan is when this process began, or a moment later.
var processBegan = time.Now()

// Status implements server.Daemon. Only the generation that serves speaks for others: each of
// them answers for itself, and one that cannot is unresponsive.
func (c controlled) Status(ctx context.Context, alone bool) *protocol.Status {
	e := c.e
	s := &protocol.Status{
		PIDFile:    e.PIDFile(),
		Config:     e.conf.File,
		Log:        e.conf.Daemon.Log,
		Managed:    e.super.managed,
		Supervisor: e.super.client.PID(),
		Generation: e.Generation(),
		Upgrades:   c.upgrades(),
	}
	if alone || !e.life.is(serving) {
		s.Generations = []protocol.Generation{c.generation()}
		return s
	}
	older, newer := c.others()
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
	s.Generations = append(s.Generations, c.generation())
	for _, r := range newer {
		s.Generations = append(s.Generations, r.known)
	}
	return s
}

func (c controlled) upgrades() protocol.Upgrades {
	e := c.e
	h := e.life.upgrades()
	return protocol.Upgrades{
		InProgress:  e.attempts.now() != nil && e.life.replacedBy() == nil,
		Succeeded:   e.up.Next() - 2, // each has brought up one, also one that has died since
		Failed:      h.failures,
		LastFailure: h.failure,
		LastSeconds: h.lastSeconds,
	}
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
func (c controlled) others() (older, newer []relative) {
	e := c.e
	for _, a := range e.ancestors.living() {
		older = append(older, relative{pidfile: a.PIDFile, known: protocol.Generation{
			Generation: a.Generation, PID: a.PID, StartTime: a.StartTime, State: protocol.Unresponsive,
		}})
	}
	a := e.attempts.now()
	if a == nil || a.next.PID == 0 || e.life.replacedBy() != nil {
		return older, nil
	}
	next := relative{known: protocol.Generation{
		Generation: a.next.Generation, PID: a.next.PID, StartTime: a.next.StartTime,
		State: protocol.Starting, Started: a.started, Since: a.started,
	}}
	if a.candidate != nil {
		next.pidfile, next.known.State = e.PIDFile(), protocol.Unresponsive
		next.known.Since, next.known.Until = time.Time{}, a.candidate.until
	}
	return older, []relative{next}
}

// generation describes this one.
func (c controlled) generation() protocol.Generation {
	e := c.e
	g := protocol.Generation{
		Generation: e.Generation(),
		PID:        os.Getpid(),
		StartTime:  startTime(),
		Started:    processBegan,
		Binary:     e.binary,
		Changed:    e.isBinaryChanged(),
		Build:      build(),
		Groups:     describeGroups(e.groups),
	}
	e.life.describe(&g)
	return g
}

// describe says where this generation is in its life.
func (l *life) describe(g *protocol.Generation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g.State, g.Since = l.phase.state(), l.entered
	switch {
	case l.phase == onProbation:
		g.Until = l.until
	case l.phase.drains():
		g.Reason = string(l.why)
		_, g.Until = l.term.drainage.times()
	}
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

func describeGroups(set *groups.Set) []protocol.Group {
	described := make([]protocol.Group, 0, set.Len())
	for conf, traffic := range set.All() {
		stats, addr, all := traffic.Stats(), traffic.Addr(), traffic.Totals()
		described = append(described, protocol.Group{
			Name:     conf.Name,
			Mode:     string(conf.Mode),
			Network:  addr.Network(),
			Address:  addr.String(),
			Open:     stats.Open,
			Parked:   stats.Parked,
			Accepted: stats.Accepted,
			MovedIn:  stats.In,
			MovedOut: stats.Out,
			Cut:      stats.Cut,
			Stayed:   traffic.Stayed(),
			Total: protocol.Total{
				Accepted: all.Accepted.Load(), MovedIn: all.In.Load(), MovedOut: all.Out.Load(), Cut: all.Cut.Load(),
			},
		})
	}
	return described
}

// isBinaryChanged reports whether the next upgrade starts another file than this process runs.
func (s *startup) isBinaryChanged() bool {
	now, err := os.Stat(s.binary)
	return s.runs != nil && (err != nil || !os.SameFile(s.runs, now))
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
