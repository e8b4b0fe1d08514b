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

// renewal is what is known of a group's files of TLS. TLS.mu guards it.
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
func (t *TLS) watchFiles() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.ContainsFunc(t.all, (*secure).isRenewable) {
		t.looks = time.AfterFunc(lookInterval, t.lookAtFiles)
	}
}

func (t *TLS) lookAtFiles() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.paused {
		return
	}
	for _, s := range t.all {
		if s.isRenewable() && !slices.EqualFunc(s.seen, look(s.conf), isSame) {
			_, _ = t.renew(s, false) // the log has it
		}
	}
	t.looks.Reset(lookInterval)
}

// Pause ends what is done for TLS from time to time, until the groups resume: new ticket secrets, and looks at files.
func (t *TLS) Pause() {
	t.rotation.Stop()
	t.pauseLooks(true)
}

func (t *TLS) resume() {
	t.rotation.Resume()
	t.pauseLooks(false)
}

func (t *TLS) pauseLooks(pause bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.paused = pause
	if !pause && t.looks != nil {
		t.looks.Reset(0)
	}
}

// Renew reads the files of TLS again, and returns the names of the groups that serve by something new from now on. A group of which a file
// is bad serves as before, and is named in the error, with the others like it.
func (t *TLS) Renew() (renewed []string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for _, s := range t.all {
		if !s.isRenewable() {
			continue
		}
		isNew, err := t.renew(s, true)
		if isNew {
			renewed = append(renewed, s.conf.Name)
		}
		errs = append(errs, err)
	}
	return renewed, errors.Join(errs...)
}

func (s *secure) isRenewable() bool { return s.pairs || s.ca }

// renew takes what the files of a group have, and reports whether that was new. What nobody has asked for is logged once.
func (t *TLS) renew(s *secure, asked bool) (isNew bool, err error) {
	seen := look(s.conf) // first: what changes while it is read is looked at again
	files, err := t.readRenewed(s)
	if err != nil {
		if asked || err.Error() != s.said {
			t.log.Error("certificates not renewed: those that serve go on", "group", s.conf.Name, "error", err)
		}
		s.said = err.Error()
		return false, err
	}
	isNew = files.Sum != s.files.Sum
	if isNew {
		if err := t.replace(s, files); err != nil {
			return false, err
		}
		t.log.Info("certificates renewed", "group", s.conf.Name)
	}
	s.renewal = renewal{seen: seen, files: files}
	return isNew, nil
}

// replace has the next handshakes made by what is in files, as far as the program has left it to them.
func (t *TLS) replace(s *secure, files *check.TLS) error {
	conf := s.Config().Clone()
	if s.pairs {
		conf.Certificates = files.Pairs
	}
	if s.ca {
		conf.ClientCAs = files.ClientCAs
	}
	if err := t.setKeys(s, conf, files); err != nil {
		return err
	}
	s.Replace(conf)
	return nil
}

// readRenewed returns what may take the place of what serves.
func (t *TLS) readRenewed(s *secure) (*check.TLS, error) {
	all := 0 // bytes of the other groups' files
	for _, other := range t.all {
		if other != s {
			all += other.files.Size
		}
	}
	files, err := check.ReadTLS(t.conf, s.conf, &all)
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w (this process runs as user %d)", err, os.Geteuid())
	}
	if err != nil || files.Sum == s.files.Sum {
		return files, err
	}
	if err := files.Valid(t.conf, s.conf, time.Now()); err != nil {
		return nil, err
	}
	if err := files.Renews(t.conf, s.conf, s.files); err != nil {
		return nil, err
	}
	return files, nil
}
