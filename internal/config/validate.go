package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/format"
)

// config checks the tree and makes a Config of it.
func (l *loader) config(tree map[string]any, opts Options) *Config {
	c := &Config{File: filepath.Join(l.dir, filepath.Base(l.file))}
	if len(tree) > format.MaxSections {
		l.fail(&cfg.Error{Msg: fmt.Sprintf("file has %d sections: %d is the most", len(tree), format.MaxSections)})
		return c
	}
	var daemon map[string]any
	for _, name := range l.sectionNames(tree) {
		raw, ok := l.table(name, tree[name])
		switch {
		case !ok:
		case name == daemonSection:
			daemon = raw
		default:
			c.Groups = append(c.Groups, readGroup(newSection(l, name, raw), opts))
		}
	}
	c.Daemon = readDaemon(newSection(l, daemonSection, daemon), opts)
	l.checkConflicts(c.Groups)
	l.checkSockets(tree, opts)
	if len(c.Groups) == 0 && len(l.errs) == 0 {
		l.fail(&cfg.Error{Msg: "no group: the daemon would listen nowhere"})
	}
	return c
}

// sectionNames returns the names of the sections in the order of the file, if
// it has one. What only the environment has comes last.
func (l *loader) sectionNames(tree map[string]any) []string {
	names := slices.Clone(l.order)
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		if _, inOrder := l.lines[keyPath{name, ""}]; !inOrder {
			names = append(names, name)
		}
	}
	return names
}

// table returns the values of a section, and whether they are worth a look.
func (l *loader) table(name string, v any) (map[string]any, bool) {
	raw, table := v.(map[string]any)
	_, excused := l.excused[keyPath{name, ""}]
	e := &cfg.Error{Line: l.lines[keyPath{name, ""}], Section: name}
	switch {
	case v != nil && !table:
		e.Section, e.Key = "", name
		e.Msg = fmt.Sprintf("%q is not a section: every value belongs in one", name)
	case !validName(name):
		e.Section, e.Value = "", name
		e.Msg = badName(name)
	case name != daemonSection && strings.EqualFold(name, daemonSection):
		e.Msg = "the daemon's own section is spelled [" + daemonSection + "], and no group can have that name"
	case len(raw) == 0 && !excused:
		e.Msg = "section has nothing in it"
	default:
		return raw, true
	}
	l.fail(e)
	return nil, false
}

// checkSockets reports each socket that no group wants.
func (l *loader) checkSockets(tree map[string]any, opts Options) {
	for _, name := range slices.Sorted(maps.Keys(opts.Sockets)) {
		if _, ok := tree[name]; ok && name != daemonSection {
			continue
		}
		l.fail(&cfg.Error{Msg: fmt.Sprintf("systemd passes a socket named %q on %s, and there is no such group: FileDescriptorName= in the socket unit is to be the name of one", name, opts.Sockets[name])})
	}
}

// checkConflicts reports each group that listens where one before it does.
func (l *loader) checkConflicts(groups []Group) {
	for i, g := range groups {
		j := slices.IndexFunc(groups[:i], func(other Group) bool {
			return g.Listen.conflicts(other.Listen)
		})
		if j < 0 {
			continue
		}
		other, where := groups[j], ""
		if line := l.lines[keyPath{other.Name, "listen"}]; line > 0 {
			where = fmt.Sprintf(", line %d", line)
		}
		s := &section{loader: l, name: g.Name}
		s.fail("listen", g.Listen.String(), "listen %s is taken: [%s]%s listens on %s", g.Listen, other.Name, where, other.Listen)
	}
}
