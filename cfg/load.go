package cfg

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/parsers/json"
	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/v2"
)

// MaxSize is how many bytes a configuration may have. Who gives more has named
// the wrong file.
const MaxSize = 1 << 20

// delim separates section and key in koanf's paths. No name holds it, so that
// a full stop in the name of a group means nothing.
const delim = "\x00"

// Load reads the configuration from file and the environment. The format goes
// by the extension of file.
//
// If the file cannot be read, the error names it and wraps the cause, so that
// errors.Is(err, fs.ErrNotExist) works. If what it says is wrong, the error is
// of type [Errors]. The file is all that Load reads: it looks for no PEM file,
// host or user, and creates nothing.
func Load(file string, opts Options) (*Config, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return Parse(file, data, opts)
}

// readFile waits for nobody: the directory may be the service's user's, and a FIFO there would block a start by root.
func readFile(file string) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|atOnce, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if kind := info.Mode().Type(); kind != 0 && kind != fs.ModeDir { // reading a directory says what it is
		return nil, &fs.PathError{Op: "read", Path: file, Err: fmt.Errorf("not a regular file (%v)", kind)}
	}
	return io.ReadAll(io.LimitReader(f, MaxSize+1)) // one more, for Parse to object to
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
		return nil, l.errs.err()
	}
	c := l.config(tree, opts)
	if err := l.errs.err(); err != nil {
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
	errs      Errors
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
		l.fail(&Error{Msg: fmt.Sprintf("file is larger than %d bytes", MaxSize)})
		return nil
	}
	tree, err := l.parser().Unmarshal(data)
	if err != nil {
		l.foreign(err, data)
		return nil
	}
	if tree == nil {
		tree = make(map[string]any) // the file is empty
	}
	maps.IntfaceKeysToStrings(tree) // YAML has other keys too
	if anyOverride(environ) {
		if err := l.override(tree, environ); err != nil {
			l.fail(&Error{Msg: err.Error()})
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

// parser picks the format. A case-sensitive ".YAML" would be read as native,
// with an error on its first line that helps nobody.
func (l *loader) parser() koanf.Parser {
	switch strings.ToLower(filepath.Ext(l.file)) {
	case ".yaml", ".yml":
		return yaml.Parser()
	case ".toml":
		return toml.Parser()
	case ".json":
		return &onceJSON{JSON: json.Parser(), loader: l}
	}
	return &recorder{loader: l}
}

func (l *loader) fail(e *Error) {
	e.File = l.file
	l.errs = append(l.errs, e)
}

// excuse remembers that there is an error about key already, and that section
// would not be empty without it.
func (l *loader) excuse(section, key string) {
	l.excused[keyPath{section, key}] = struct{}{}
	l.excused[keyPath{section, ""}] = struct{}{}
}

// recorder is a Native that keeps the lines, and that lets the rest of a file
// with errors in it be checked too.
type recorder struct {
	Native
	loader *loader
}

// Unmarshal implements koanf.Parser. It returns no error: the loader has them.
func (r *recorder) Unmarshal(data []byte) (map[string]any, error) {
	p := parseNative(data)
	for _, e := range p.errs {
		if known := keysOf(e.Section); e.Section != "" && !slices.Contains(known, e.Key) {
			e.Suggestion = suggest(e.Key, known)
			r.loader.excuse(e.Section, e.Suggestion)
		}
		r.loader.fail(e)
	}
	r.loader.order = make([]string, 0, len(p.sections))
	for _, s := range p.sections {
		r.record(s)
	}
	return p.tree(), nil
}

func (r *recorder) record(s *nativeSection) {
	r.loader.order = append(r.loader.order, s.name)
	r.loader.lines[keyPath{s.name, ""}] = s.line
	for _, e := range s.entries {
		r.loader.lines[keyPath{s.name, e.key}] = e.line
		if e.broken {
			r.loader.excuse(s.name, e.key)
		}
	}
}
