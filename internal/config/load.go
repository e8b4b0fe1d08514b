package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/v2"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/format"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// MaxSize is how many bytes a configuration may have. Who gives more has named
// the wrong file. It also bounds what another user's file costs whoever reads it: TOML's parser goes one call deeper for each bracket.
const MaxSize = format.MaxSize

// delim separates section and key in koanf's paths. No name holds it, so that
// a full stop in the name of a group means nothing.
const delim = "\x00"

// Load reads the configuration from file and the environment. The format goes
// by the extension of file.
//
// If the file cannot be read, the error names it and wraps the cause, so that
// errors.Is(err, fs.ErrNotExist) works. If what it says is wrong, the error is
// of type [cfg.Errors]. The file is all that Load reads: it looks for no PEM file,
// host or user, and creates nothing.
func Load(file string, opts Options) (*Config, error) {
	data, info, err := readFile(file)
	if errors.Is(err, fs.ErrNotExist) && !filepath.IsAbs(file) {
		if dir, dirErr := os.Getwd(); dirErr == nil {
			return nil, fmt.Errorf("configuration: %w (in the directory %s)", err, dir)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c, err := Parse(file, data, opts)
	if err != nil {
		return nil, err
	}
	c.Source = info
	return c, nil
}

func readFile(file string) (data []byte, info fs.FileInfo, err error) {
	f, err := safepath.OpenRegular(file)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	data, err = io.ReadAll(io.LimitReader(f, MaxSize+1)) // one more, for Parse to object to
	return data, info, err
}

// Parse is Load for data that is in memory. The extension of file names the
// format, its directory is where relative paths begin, and errors start with
// it; the file need not exist.
func Parse(file string, data []byte, opts Options) (*Config, error) {
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if opts.Environ == nil {
		opts.Environ = os.Environ()
	}
	l := newLoader(file, dir)
	tree := l.load(data, opts.Environ)
	if tree == nil {
		return nil, asError(l.errs)
	}
	c := l.config(tree, opts)
	if err := asError(l.errs); err != nil {
		return nil, err
	}
	return c, nil
}

// keyPath names a value, or with an empty key a section.
type keyPath struct{ section, key string }

// loader collects what koanf's tree has no room for: where everything stood,
// and what was wrong with it.
type loader struct {
	file, dir string
	order     []string             // sections as they stand in the file; nil if it has no order
	lines     map[keyPath]int      // by section and by key
	variables map[keyPath]string   // values that the environment has overridden
	excused   map[keyPath]struct{} // missing from the tree, for a reason that errs gives
	pairs     int                  // of all groups so far
	errs      cfg.Errors
}

func newLoader(file, dir string) *loader {
	return &loader{
		file:      file,
		dir:       dir,
		lines:     make(map[keyPath]int),
		variables: make(map[keyPath]string),
		excused:   make(map[keyPath]struct{}),
	}
}

// load returns the merged tree of file and environment. It is nil if there are
// errors that leave nothing to check.
func (l *loader) load(data []byte, environ []string) map[string]any {
	if len(data) > MaxSize {
		l.fail(&cfg.Error{Msg: fmt.Sprintf("file is larger than %d bytes", MaxSize)})
		return nil
	}
	tree, ok := l.parse(data)
	if !ok {
		return nil
	}
	if tree == nil {
		tree = make(map[string]any) // the file is empty
	}
	if anyOverride(environ) {
		if err := l.override(tree, environ); err != nil {
			l.fail(&cfg.Error{Msg: err.Error()})
			return nil
		}
	}
	return tree
}

// override merges into tree what the environment says. That is koanf's business; without any of it a daemon that starts, and others
// wait for, can do without the three copies of the tree that koanf makes.
func (l *loader) override(tree map[string]any, environ []string) error {
	merge := koanf.WithMergeFunc(func(values, _ map[string]any) error {
		maps.Merge(values, tree)
		return nil
	})
	return koanf.New(delim).Load(newOverrides(l, tree).provider(environ), nil, merge)
}

// parse returns what the file says. It is not ok if there are errors that leave nothing to check.
func (l *loader) parse(data []byte) (tree map[string]any, ok bool) {
	name, parse := format.Of(l.file)
	switch {
	case name == "":
		return l.native(data), true
	case parse == nil:
		l.fail(&cfg.Error{Msg: format.Missing(name)})
		return nil, false
	}
	tree, mistakes := parse(data)
	for _, m := range mistakes {
		l.fail(&cfg.Error{Line: m.Line, Section: m.Section, Key: m.Key, Msg: m.Msg})
	}
	return tree, tree != nil || mistakes == nil
}

// maxErrors bounds the errors that are returned. Nobody reads more, and each names the file, whose path may be long.
const maxErrors = 1000

// asError puts the errors in the order of the file. Those without a line come after it, and those of variables last. It
// returns nil, not a cfg.Errors of length 0, if there is none.
func asError(errs cfg.Errors) error {
	if len(errs) == 0 {
		return nil
	}
	slices.SortStableFunc(errs, func(a, b *cfg.Error) int { return cmp.Compare(rank(a), rank(b)) })
	if n := len(errs) - maxErrors; n > 0 {
		more := &cfg.Error{File: errs[0].File, Msg: fmt.Sprintf("and %d more errors", n)}
		errs = append(errs[:maxErrors:maxErrors], more)
	}
	return errs
}

func rank(e *cfg.Error) int {
	switch {
	case e.Variable != "":
		return math.MaxInt
	case e.Line == 0:
		return math.MaxInt - 1
	}
	return e.Line
}

func (l *loader) fail(e *cfg.Error) {
	e.File = l.file
	l.errs = append(l.errs, e)
}

// excuse remembers that there is an error about key already, and that section
// would not be empty without it.
func (l *loader) excuse(section, key string) {
	l.excused[keyPath{section, key}] = struct{}{}
	l.excused[keyPath{section, ""}] = struct{}{}
}

// native reads the native format. It keeps the lines, and lets the rest of a file with errors in it be checked too.
func (l *loader) native(data []byte) map[string]any {
	p := parseNative(data)
	for _, e := range p.errs {
		if known := keysOf(e.Section); e.Section != "" && !slices.Contains(known, e.Key) {
			e.Suggestion = suggest(e.Key, known)
			l.excuse(e.Section, e.Suggestion)
		}
		l.fail(e)
	}
	l.order = make([]string, 0, len(p.sections))
	for _, s := range p.sections {
		l.record(s)
	}
	return p.tree()
}

func (l *loader) record(s *nativeSection) {
	l.order = append(l.order, s.name)
	l.lines[keyPath{s.name, ""}] = s.line
	for _, e := range s.entries {
		l.lines[keyPath{s.name, e.key}] = e.line
		if e.broken {
			l.excuse(s.name, e.key)
		}
	}
}
