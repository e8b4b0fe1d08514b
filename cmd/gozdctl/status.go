package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// status shows the generation that serves.
func status(_ context.Context, args []string, stdout, _ io.Writer) error {
	pidfile, err := argument(args, "PID file")
	if err != nil {
		return err
	}
	r, err := process.Find(pidfile)
	if err != nil {
		return err
	}
	defer r.Close()
	return writeStatus(stdout, r.State, time.Now())
}

func writeStatus(w io.Writer, s *process.State, now time.Time) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, format string, args ...any) {
		_, _ = fmt.Fprintf(tw, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}
	row("pid", "%d", s.PID)
	row("generation", "%d", s.Generation)
	row("serving for", "%v (since %s)", now.Sub(s.Since).Round(time.Second), s.Since.Format(time.DateTime))
	row("binary", "%s", s.Binary)
	row("configuration", "%s", s.Config)
	for _, group := range slices.Sorted(maps.Keys(s.Listen)) {
		row("group "+group, "%s", s.Listen[group])
	}
	if s.Trial != nil {
		row("on probation", "pid %d, for %v more", s.Trial.PID, max(0, s.Trial.Until.Sub(now).Round(time.Second)))
	}
	if s.Failures > 0 {
		row("failed upgrades", "%d, the last: %s", s.Failures, s.LastFailure)
	}
	return tw.Flush()
}
