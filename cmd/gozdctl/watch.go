package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/printable"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// watcher shows the status again and again.
type watcher struct {
	app     *app
	pidfile string
	lines   int         // that are on the terminal
	most    map[int]int // connections that were seen in each draining generation, by PID
	shown   string      // the last line, where each is printed once
}

// watch returns nil when it is interrupted, and an error that wraps process.ErrNotRunning
// when the daemon has ended.
func (a *app) watch(ctx context.Context, pidfile string) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	w := &watcher{app: a, pidfile: pidfile, most: make(map[int]int)}
	defer w.end()
	for {
		err := w.look(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			a.json = false // all that there is to print has been printed
			return nil
		}
	}
}

// end leaves what was shown, and the cursor below it.
func (w *watcher) end() {
	if w.lines > 0 {
		w.app.stdout.printf("\n")
	}
}

// look shows the status once. A daemon that does not answer is shown too, and only one
// that has ended, or was never to be asked, is an error.
func (w *watcher) look(ctx context.Context) error {
	s, err := w.app.askStatus(ctx, w.pidfile)
	if err != nil && statusOf(err) != statusUnknown && !isChanging(err) {
		return err
	}
	switch {
	case ctx.Err() != nil:
	case w.app.json:
		return w.printJSON(s, err)
	case w.app.stdout.live:
		w.redraw(s, err)
	default:
		w.printLine(s, err)
	}
	return w.app.stdout.err
}

// isChanging reports whether the daemon was met between two generations.
func isChanging(err error) bool {
	return statusOf(err) == statusFailed && !errors.Is(err, process.ErrNotRunning) && !errors.Is(err, client.ErrNoSocket)
}

// printJSON prints a line like that of status without --watch.
func (w *watcher) printJSON(s *protocol.Status, err error) error {
	out := outcome{Command: "status", ExitStatus: statusOf(err), PIDFile: w.pidfile, Status: s}
	if err != nil {
		out.Error = err.Error()
	}
	data, err := json.Marshal(&out)
	if err != nil {
		return err
	}
	w.app.stdout.printf("%s\n", printable.JSON(data))
	return w.app.stdout.err
}

// redraw writes over what was shown before, as far as the terminal has lines.
func (w *watcher) redraw(s *protocol.Status, err error) {
	var text bytes.Buffer
	terminal := w.app.stdout
	page := *terminal
	page.w = &text
	if err != nil {
		page.printf("%s\n", page.paint(red, printable.Line(err.Error())))
	} else {
		v := view{status: s, now: w.app.now(), s: &page}
		v.write()
		w.bars(&page, s)
	}
	page.printf("\n%s\n", page.paint(dim, w.app.now().Format(time.TimeOnly)+"  every second; Ctrl-C ends it"))
	lines := strings.SplitAfter(strings.TrimSuffix(text.String(), "\n"), "\n")
	if _, height := terminal.size(); height > 1 && len(lines) > height-1 {
		lines = lines[:height-1]
		lines[height-2] = strings.TrimSuffix(lines[height-2], "\n")
	}
	before := w.lines
	w.lines = len(lines)
	terminal.rewind(max(before-1, 0))
	terminal.printf("%s%s%s", cutLines, strings.Join(lines, ""), wrapLines) // a line that wraps would be two, and the next rewind too short
}

// bars show how far each draining generation has got since it was first seen.
func (w *watcher) bars(page *screen, s *protocol.Status) {
	first := true
	w.forget(s)
	for _, g := range s.Generations {
		if g.State != protocol.Draining || g.Groups == nil {
			continue
		}
		if first {
			page.printf("\n")
			first = false
		}
		n := open(g)
		w.most[g.PID] = max(w.most[g.PID], n)
		most := w.most[g.PID]
		page.printf("generation %-3d %s %d of %d left\n", g.Generation, page.paint(yellow, bar(most-n, most, 20)), n, most)
	}
}

// forget leaves out generations that are gone: the daemon's user can name new ones for ever.
func (w *watcher) forget(s *protocol.Status) {
	most := make(map[int]int, len(s.Generations))
	for _, g := range s.Generations {
		if n, seen := w.most[g.PID]; seen {
			most[g.PID] = n
		}
	}
	w.most = most
}

// printLine prints a line when something has changed.
func (w *watcher) printLine(s *protocol.Status, err error) {
	var line string
	if err != nil {
		line = err.Error()
	} else {
		line = oneLine(s)
	}
	if line != w.shown {
		w.shown = line
		w.app.stdout.printf("%s  %s\n", w.app.now().Format(time.TimeOnly), printable.Line(line))
	}
}

// oneLine is a status in a line, for logs.
func oneLine(s *protocol.Status) string {
	var parts []string
	for _, g := range s.Generations {
		parts = append(parts, fmt.Sprintf("generation %d (pid %d) %s: %s", g.Generation, g.PID, g.State, connections(g)))
	}
	return strings.Join(parts, "; ")
}
