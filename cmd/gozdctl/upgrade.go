package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

const longUpgrade = `Starts the newest binary with the newest configuration as the next generation, and waits until
it serves and the old generation has drained. Progress goes to standard error.

If the new generation fails, the old one has never stopped serving, and the exit status is 1. It
is 1 too if the new one dies while the old one drains: then that one serves again, or it cannot,
and gozdctl says that nobody serves.
Without --timeout it waits for as long as the daemon itself allows an upgrade, and then
until the old generation's drain_timeout is over. A service manager or a deployment that only
wants to know whether the new generation serves says --no-wait-drain.

With --dry-run it starts the newest binary up to where it would serve, beside the old generation,
and ends it. The old one serves on, no connection moves, and a failure has the words and the exit
status that the upgrade's would have. What the program itself does when it starts, it does.`

func upgradeCommand(a *app) *cobra.Command {
	noDrain, dryRun := false, false
	cmd := &cobra.Command{
		Use:     "upgrade " + aboutTarget,
		Aliases: []string{"reload"},
		Short:   "start the newest binary and wait until it serves",
		Long:    longUpgrade,
		Example: "  gozdctl upgrade /run/app.pid\n  gozdctl reload -c /etc/app.conf --no-wait-drain --timeout 2m",
		RunE: func(cmd *cobra.Command, args []string) error {
			if dryRun && noDrain {
				return usageError("--no-wait-drain does not go with --dry-run: nothing drains")
			}
			pidfile, err := a.target(cmd.Context(), args)
			if err != nil {
				return err
			}
			if dryRun {
				return upgrading{a}.dryRun(cmd.Context(), pidfile)
			}
			return upgrading{a}.upgrade(cmd.Context(), pidfile, noDrain)
		},
	}
	cmd.Flags().BoolVar(&noDrain, "no-wait-drain", false, "return as soon as the new generation serves")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only see whether the newest binary would serve")
	cmd.Flags().DurationVar(&a.timeout, "timeout", 0, "how long to wait at most (30s, 2m)")
	return a.onDaemon(cmd)
}

// upgrading is what upgrade does, dry runs included.
type upgrading struct{ *app }

func (a upgrading) upgrade(ctx context.Context, pidfile string, noDrain bool) error {
	wait := client.UpgradeWait(pidfile)
	ctx, p := a.newPatience(ctx, wait)
	defer p.end()
	var up *client.Upgraded
	var undrained error // the new generation serves, and only the drain was not waited for
	t, pid := &upgradeReporter{app: a.app, progress: progress{s: a.stderr}, patience: p, pidfile: pidfile, began: a.now(), noDrain: noDrain}, 0
	err := client.Ask(ctx, pidfile, func(c *client.Client) (err error) {
		pid = c.PID()
		up, err = c.Upgrade(ctx, client.UpgradeOptions{NoDrain: noDrain}, t.show)
		if up != nil {
			undrained = err
			return nil
		}
		return err
	})
	t.progress.end()
	if up == nil && pid == 0 {
		return unasked(ctx, err)
	}
	if up == nil {
		return a.upgradeFailed(pid, err)
	}
	if undrained != nil {
		a.warn(fmt.Sprintf("the old generation (pid %d) still drains: see gozdctl status %s", up.OldPID, word(pidfile)))
	}
	a.upgraded(up, seconds(up.Served.Seconds))
	return nil
}

func (a upgrading) dryRun(ctx context.Context, pidfile string) error {
	ctx, p := a.newPatience(ctx, client.UpgradeWait(pidfile))
	defer p.end()
	t := &upgradeReporter{app: a.app, progress: progress{s: a.stderr}, patience: p, pidfile: pidfile, began: a.now()}
	var asked generation
	var passed protocol.Event
	err := client.Ask(ctx, pidfile, func(c *client.Client) (err error) {
		asked = generation{Generation: c.Generation(), PID: c.PID()}
		passed, err = c.DryRun(ctx, t.show)
		return err
	})
	t.progress.end()
	if asked.PID == 0 {
		err = unasked(ctx, err)
	}
	if err != nil {
		return fmt.Errorf("dry run: %w", a.upgradeFailed(asked.PID, err))
	}
	a.out.acted = true
	a.out.Serving, a.out.Seconds = &asked, ptr(passed.Seconds)
	a.out.Upgrade = &upgradeOutcome{Old: asked, DryRun: true}
	if !a.stdout.live {
		a.say("dry run: generation %d (pid %d) was ready after %s, and has ended; pid %d serves on",
			passed.Generation, passed.PID, span(seconds(passed.Seconds)), asked.PID)
	}
	return nil
}

// upgraded reports the new generation. Progress has said all of it to who looks at a terminal.
func (a upgrading) upgraded(up *client.Upgraded, took time.Duration) {
	old := generation{Generation: up.OldGeneration, PID: up.OldPID}
	a.out.acted = true
	a.out.Serving = &generation{Generation: up.Served.Generation, PID: up.Served.PID}
	a.out.Seconds = ptr(took.Seconds())
	a.out.Upgrade = &upgradeOutcome{Old: old, Drained: up.Drained}
	if !a.stdout.live {
		a.say("upgraded: pid %d (generation %d) replaces pid %d (generation %d), ready after %s",
			up.Served.PID, up.Served.Generation, old.PID, old.Generation, span(took))
	}
}

// upgradeFailed completes the error of an upgrade by what serves now.
func (a upgrading) upgradeFailed(asked int, err error) error {
	var failed *client.UpgradeError
	if !errors.As(err, &failed) {
		return err
	}
	a.out.Upgrade = &upgradeOutcome{
		Old:   generation{Generation: failed.Generation, PID: failed.PID},
		Stage: failed.Stage, Reason: failed.Reason, Failed: failed.Failed,
	}
	if failed.Stage == "" { // cut short by a stop
		return fmt.Errorf("%w; pid %d was asked to end meanwhile", err, asked)
	}
	if failed.Serves() {
		a.out.Serving = &a.out.Upgrade.Old
	}
	return fmt.Errorf("%w; %s", err, failed.Remains())
}

func ptr[T any](v T) *T { return &v }

// upgradeReporter shows the events of an upgrade as they come.
type upgradeReporter struct {
	app       *app
	progress  progress
	patience  *patience
	pidfile   string
	began     time.Time
	noDrain   bool // nothing follows when the new generation serves
	waited    bool // for another upgrade
	next      int  // generation that was started; 0 before
	probation bool
	most      int // connections when the drain began
}

func (t *upgradeReporter) show(e protocol.Event) {
	p := &t.progress
	t.patience.renew(client.UpgradeWait(t.pidfile))
	switch e.Type {
	case protocol.Waiting:
		t.waited = true
		p.step("another upgrade is in progress: waiting for it", "…")
	case protocol.Superseded:
		p.step(fmt.Sprintf("it has brought up generation %d (pid %d)", e.Generation, e.PID), ";")
		t.began = t.app.now()
	case protocol.Started:
		t.next = e.Generation
		if t.waited { // which the daemon counts
			t.began = t.app.now()
		}
		p.step(fmt.Sprintf("starting generation %d (pid %d)", e.Generation, e.PID), "…")
	case protocol.OnProbation:
		t.probation = true
		t.patience.renew(min(seconds(e.Seconds), process.MaxWait) + client.UpgradeWait(t.pidfile))
		p.step("ready in "+span(t.app.now().Sub(t.began)), "…")
		p.step("probation "+span(seconds(e.Seconds)), "…")
	case protocol.Served:
		mark := ";"
		if t.noDrain {
			mark = ""
		}
		took := seconds(e.Seconds)
		if t.waited {
			took = t.app.now().Sub(t.began)
		}
		if !t.probation {
			p.step("ready in "+span(took), "…")
		}
		p.step("serving", mark)
	case protocol.Passed:
		p.step("ready in "+span(seconds(e.Seconds))+"; it has ended: this was a dry run", "")
	case protocol.Failed:
		if t.next != 0 { // a process was started, and that was told
			p.step("failed", "")
		}
		t.next = e.Generation
	case protocol.DrainBegan:
		t.draining(e)
	case protocol.Drained:
		p.step(fmt.Sprintf("generation %d drained in %s: %s", e.Generation, span(seconds(e.Seconds)), drained(e)), "")
	}
}

// drained says what became of the connections.
func drained(e protocol.Event) string {
	text := fmt.Sprintf("%d moved, %d ended", e.Moved, e.Ended)
	if e.Cut > 0 {
		text += fmt.Sprintf(", %d cut at the deadline", e.Cut)
	}
	return text
}

func (t *upgradeReporter) draining(e protocol.Event) {
	const margin = 10 * time.Second // for cutting, and the program's own end
	if !e.Until.IsZero() {
		t.patience.renew(min(time.Until(e.Until), process.MaxWait) + margin)
	}
	t.most = max(t.most, e.Open)
	if e.Open == 0 { // its deadline would only frighten: it ends in seconds
		t.progress.now(fmt.Sprintf("generation %d has no connection left, and stands by", e.Generation))
		return
	}
	text := fmt.Sprintf("generation %d drains %s %d left", e.Generation, bar(t.most-e.Open, t.most, 10), e.Open)
	if !e.Until.IsZero() {
		text += ", until " + e.Until.Local().Format(time.TimeOnly)
	}
	t.progress.now(text)
}
