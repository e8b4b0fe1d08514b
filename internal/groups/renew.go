package groups

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/check"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// lookInterval is how often the files of TLS are looked at.
const lookInterval = time.Minute

// renewal is what is known of a group's files of TLS. Set.renewing guards it.
type renewal struct {
	seen  []fs.FileInfo // the files just before they were read; nil for one that could not be looked at
	files *check.TLS    // what was in them: what serves
	said  string        // the last error that the log has; "" if they have been well since
}

// look looks at the files of a group without reading them.
func look(g *config.Group) (seen []fs.FileInfo) {
	for _, path := range g.Files() {
		info, _ := safepath.Stat(path) // whoever reads it has the error
		seen = append(seen, info)
	}
	return seen
}

func isSame(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// watchFiles has the files looked at from time to time.
func (set *Set) watchFiles() {
	set.renewing.Lock()
	defer set.renewing.Unlock()
	if slices.ContainsFunc(set.order, func(g *group) bool { return g.tls != nil && g.tls.isRenewable() }) {
		set.looks = time.AfterFunc(lookInterval, set.lookAtFiles)
	}
}

func (set *Set) lookAtFiles() {
	set.renewing.Lock()
	defer set.renewing.Unlock()
	if set.paused {
		return
	}
	for _, g := range set.order {
		if g.tls != nil && g.tls.isRenewable() && !slices.EqualFunc(g.tls.seen, look(g.conf), isSame) {
			_, _ = set.renew(g, false) // the log has it
		}
	}
	set.looks.Reset(lookInterval)
}

// Pause ends what is done for TLS from time to time, until Resume: new ticket secrets, and looks at files.
func (set *Set) Pause() {
	set.rotation.Stop()
	set.pauseLooks(true)
}

func (set *Set) resumeTLS() {
	set.rotation.Resume()
	set.pauseLooks(false)
}

func (set *Set) pauseLooks(pause bool) {
	set.renewing.Lock()
	defer set.renewing.Unlock()
	set.paused = pause
	if !pause && set.looks != nil {
		set.looks.Reset(0)
	}
}

// Renew reads the files of TLS again, and returns the names of the groups that serve by something new from now on. A group of which a file
// is bad serves as before, and is named in the error, with the others like it.
func (set *Set) Renew() (renewed []string, err error) {
	set.renewing.Lock()
	defer set.renewing.Unlock()
	var errs []error
	for _, g := range set.order {
		if g.tls == nil || !g.tls.isRenewable() {
			continue
		}
		isNew, err := set.renew(g, true)
		if isNew {
			renewed = append(renewed, g.conf.Name)
		}
		errs = append(errs, err)
	}
	return renewed, errors.Join(errs...)
}

func (s *secure) isRenewable() bool { return s.pairs || s.ca }

// renew takes what the files of a group have, and reports whether that was new. What nobody has asked for is logged once.
func (set *Set) renew(g *group, asked bool) (isNew bool, err error) {
	seen := look(g.conf) // first: what changes while it is read is looked at again
	files, err := set.readRenewed(g)
	if err != nil {
		if asked || err.Error() != g.tls.said {
			set.opts.Log.Error("certificates not renewed: those that serve go on", "group", g.conf.Name, "error", err)
		}
		g.tls.said = err.Error()
		return false, err
	}
	isNew = files.Sum != g.tls.files.Sum
	if isNew {
		if err := set.replace(g, files); err != nil {
			return false, err
		}
		set.opts.Log.Info("certificates renewed", "group", g.conf.Name)
	}
	g.tls.renewal = renewal{seen: seen, files: files}
	return isNew, nil
}

// replace has the next handshakes made by what is in files, as far as the program has left it to them.
func (set *Set) replace(g *group, files *check.TLS) error {
	conf := g.tls.Config().Clone()
	if g.tls.pairs {
		conf.Certificates = files.Pairs
	}
	if g.tls.ca {
		conf.ClientCAs = files.ClientCAs
	}
	if err := set.setKeys(g, conf, files); err != nil {
		return err
	}
	g.tls.Replace(conf)
	return nil
}

// readRenewed returns what may take the place of what serves.
func (set *Set) readRenewed(g *group) (*check.TLS, error) {
	files, err := check.ReadTLS(set.opts.Conf, g.conf)
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w (this process runs as user %d)", err, os.Geteuid())
	}
	if err != nil || files.Sum == g.tls.files.Sum {
		return files, err
	}
	if err := files.Valid(set.opts.Conf, g.conf, time.Now()); err != nil {
		return nil, err
	}
	if err := files.Renews(set.opts.Conf, g.conf, g.tls.files); err != nil {
		return nil, err
	}
	return files, nil
}
