package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

const longList = `Lists the daemons whose PID files are in this user's runtime directory, or one level below it: that
is /run for root, and $XDG_RUNTIME_DIR for others. Without that variable it is the directories
PROGRAM-UID in the temporary directory. It finds no daemon whose configuration names a PID file
elsewhere: gozdctl status takes that.

A daemon that cannot be asked is listed with the reason; gozdctl status PIDFILE says more.`

func listCommand(a *app) *cobra.Command {
	cmd := a.verb(&cobra.Command{
		Use:   "list",
		Short: "list the daemons in the runtime directory",
		Long:  longList,
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.list(cmd.Context()) },
	})
	cmd.Flags().DurationVar(&a.timeout, "timeout", 0, "how long to wait for all answers at most (default 5s)")
	return cmd
}

// daemonEntry is a daemon of the list.
type daemonEntry struct {
	PIDFile    string         `json:"pidfile"`
	PID        int            `json:"pid,omitempty"`
	Generation int            `json:"generation,omitempty"`
	State      protocol.State `json:"state,omitempty"`
	Config     string         `json:"config,omitempty"`
	Error      string         `json:"error,omitempty"` // why there is nothing else

	err error
}

func failedEntry(pidfile string, err error) daemonEntry {
	return daemonEntry{PIDFile: pidfile, Error: err.Error(), err: err}
}

// list asks all daemons at once: whoever owns a directory can have his own daemon hang, and keeps nobody else's from the list.
func (a *app) list(ctx context.Context) error {
	asking, p := a.newPatience(ctx, askTimeout)
	defer p.end()
	dirs, top, err := listedDirs(asking)
	if err != nil && !errors.Is(err, errPatience) {
		return err
	}
	looking, cancel := moment(asking) // the rest of the time is for answers
	defer cancel()
	found := each(looking, dirs, func(dir string) []daemonEntry { return pidfilesIn(dir, dir == top) }, func(dir string) []daemonEntry {
		return []daemonEntry{failedEntry(dir, impatience(dir+" cannot be read in time"))}
	})
	if err != nil {
		found = append(found, []daemonEntry{failedEntry(top, err)})
	}
	a.out.Daemons = each(asking, slices.Concat(found...), func(d daemonEntry) daemonEntry { return ask(asking, d) }, func(d daemonEntry) daemonEntry {
		return failedEntry(d.PIDFile, context.Cause(asking))
	})
	if ctx.Err() != nil {
		return context.Cause(asking)
	}
	a.writeList(top)
	return nil
}

// each calls do for all items at once, and returns its answers in their order. For an item on which do has not returned when ctx
// ends, the answer is late's: a system call on another user's file system need never return.
func each[T, R any](ctx context.Context, items []T, do, late func(T) R) []R {
	pending := make([]chan R, len(items))
	for i, item := range items {
		pending[i] = make(chan R, 1)
		go func() { pending[i] <- do(item) }()
	}
	answers := make([]R, len(items))
	for i, item := range items {
		select {
		case answers[i] = <-pending[i]:
		case <-ctx.Done():
			select {
			case answers[i] = <-pending[i]:
			default:
				answers[i] = late(item)
			}
		}
	}
	return answers
}

// listedDirs returns the runtime directory, which is top too, and those right below; or only some of these, where top is everybody's. There others can
// have any number of files: the look takes a moment, and the error says that there may be more.
func listedDirs(ctx context.Context) (dirs []string, top string, err error) {
	ctx, cancel := moment(ctx)
	defer cancel()
	top, suffix := config.PIDFileDir()
	if suffix == "" {
		dirs = append(dirs, top)
	}
	err = inPieces(ctx, top, func(e fs.DirEntry) {
		if e.IsDir() && strings.HasSuffix(e.Name(), suffix) && (os.Geteuid() == 0 || isOursOrRoots(e)) { // and no link to one
			dirs = append(dirs, filepath.Join(top, e.Name()))
		}
	})
	slices.Sort(dirs)
	return dirs, top, err
}

// inPieces calls do with the entries of a directory, if it is there.
func inPieces(ctx context.Context, dir string, do func(fs.DirEntry)) error {
	const atOnce = 256
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for {
		if ctx.Err() != nil {
			return impatience(dir + " has too many files to be read in time: there may be daemons that are not listed")
		}
		entries, err := f.ReadDir(atOnce)
		for _, e := range entries {
			do(e)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// What is looked at in a directory below the top: it may be another user's, who can put anything there.
const (
	maxNames  = 10_000
	maxListed = 16
)

// pidfilesIn returns the PID files in a directory that have a state file beside them.
func pidfilesIn(dir string, top bool) (found []daemonEntry) {
	entries, err := namesIn(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		found = append(found, failedEntry(dir, err))
	}
	listed := 0
	for _, e := range entries {
		name, isState := strings.CutSuffix(e.Name(), process.StatePath(".pid"))
		if !isState || !e.Type().IsRegular() || (top || os.Geteuid() != 0) && !isOursOrRoots(e) {
			continue
		}
		if listed++; listed > maxListed && !top {
			return append(found, failedEntry(dir, fmt.Errorf("%s has more than %d PID files: the others are left out", dir, maxListed)))
		}
		found = append(found, daemonEntry{PIDFile: filepath.Join(dir, name+".pid")})
	}
	return found
}

func namesIn(dir string) ([]fs.DirEntry, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	entries, err := f.ReadDir(maxNames)
	if errors.Is(err, io.EOF) { // there is none
		err = nil
	}
	if len(entries) == maxNames {
		err = fmt.Errorf("%s has %d files or more: there may be daemons that are not listed", dir, maxNames)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { // others cannot crowd out this user's and root's
		if a, b := isOursOrRoots(a), isOursOrRoots(b); a != b {
			if a {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name(), b.Name())
	})
	return entries, err
}

// ask completes what pidfilesIn has found.
func ask(ctx context.Context, d daemonEntry) daemonEntry {
	if d.err != nil {
		return d
	}
	err := client.Ask(ctx, d.PIDFile, func(c *client.Client) error {
		s, err := c.StatusAlone(ctx)
		if err != nil {
			return err
		}
		const pathMax = 4096 // it can say whatever it likes
		d.PID, d.Generation, d.Config = c.PID(), c.Generation(), s.Config[:min(len(s.Config), pathMax)]
		for _, g := range s.Generations {
			if _, ok := stateColours[g.State]; ok && g.PID == d.PID {
				d.State = g.State
			}
		}
		return nil
	})
	if err != nil {
		return failedEntry(d.PIDFile, impatient(ctx, d.PIDFile+" does not answer", err))
	}
	return d
}

func (a *app) writeList(where string) {
	if a.json {
		return
	}
	if len(a.out.Daemons) == 0 {
		a.say("no daemons: there is no PID file of one in %s, or one level below; of others, gozdctl status takes the PID file", where)
		return
	}
	t := &table{columns: []column{
		{title: "PID FILE", least: 12, shrink: keepEnd},
		{title: "PID", right: true},
		{title: "GEN", right: true},
		{title: "STATE"},
		{title: "CONFIGURATION", least: 13, shrink: keepEnd},
	}}
	for _, d := range a.out.Daemons {
		row := []cell{{text: d.PIDFile}, {text: "-"}, {text: "-"}, {text: inWords(d.err), colour: red}, {text: d.Config}}
		if d.err == nil {
			row[1].text, row[2].text = strconv.Itoa(d.PID), strconv.Itoa(d.Generation)
			row[3] = cell{cmp.Or(string(d.State), "unknown"), stateColours[d.State]}
		}
		t.rows = append(t.rows, row)
	}
	t.write(a.stdout)
	for _, d := range a.out.Daemons {
		if d.err != nil && statusOf(d.err) == statusFailed {
			a.warn("list: " + d.Error)
		}
	}
}

// inWords is an error of a list in a word or two.
func inWords(err error) string {
	switch statusOf(err) {
	case statusNotRunning:
		return "not running"
	case statusUnknown:
		return "no answer"
	case statusPermission:
		return "no permission"
	}
	return "error"
}
