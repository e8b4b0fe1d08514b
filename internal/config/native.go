package config

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
)

// nativeSection is a section as it stands in the file.
type nativeSection struct {
	name    string
	line    int
	entries []nativeEntry
	seen    map[string]int // the line of each key
}

// nativeEntry is a key and its value. If broken, the value could not be read,
// and an error says so.
type nativeEntry struct {
	key, value string
	line       int
	broken     bool
}

// nativeParser reads line by line. It goes on after an error, to find them all.
type nativeParser struct {
	sections []*nativeSection
	seen     map[string]int // the line of each section
	current  *nativeSection // nil before the first section
	orphaned bool           // a key stood before it
	line     int
	errs     cfg.Errors
}

func parseNative(data []byte) *nativeParser {
	p := &nativeParser{seen: make(map[string]int)}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	for line := range strings.SplitSeq(string(data), "\n") {
		p.line++
		p.readLine(strings.Trim(strings.TrimSuffix(line, "\r"), blanks))
	}
	return p
}

// blanks is what the format takes for white space. A no-break space that came
// with a copy from a web page is none, and gets an error.
const blanks = " \t"

func (p *nativeParser) readLine(line string) {
	switch {
	case line == "" || comment(line):
	case !p.clean(line):
	case line[0] == '[':
		p.readHeader(line[1:])
	default:
		p.readEntry(line)
	}
}

// clean reports an error for bytes that no text has.
func (p *nativeParser) clean(line string) bool {
	switch {
	case !utf8.ValidString(line):
		p.fail("", "", "line is not valid UTF-8")
	case strings.Contains(line, "\x00"):
		p.fail("", "", "line holds a NUL byte")
	default:
		return true
	}
	return false
}

// readHeader reads what follows the opening bracket.
func (p *nativeParser) readHeader(rest string) {
	name, rest, closed := strings.Cut(rest, "]")
	name, rest = strings.Trim(name, blanks), strings.Trim(rest, blanks)
	// Even a section with a bad name begins here: its keys are not the
	// previous one's.
	p.current = &nativeSection{name: name, line: p.line, seen: make(map[string]int)}
	switch first, again := p.seen[name]; {
	case !closed:
		p.fail("", "", `section has no closing "]"`)
	case rest != "" && !comment(rest):
		p.fail("", rest, fmt.Sprintf("unexpected %q after the section", rest))
	case !validName(name):
		p.fail("", name, badName(name))
	case again:
		p.errs = append(p.errs, &cfg.Error{Line: p.line, Section: name, Msg: fmt.Sprintf("section is already in line %d", first)})
	default:
		p.seen[name] = p.line
		p.sections = append(p.sections, p.current)
	}
}

func (p *nativeParser) readEntry(line string) {
	key, rest := splitKey(line)
	if p.current == nil {
		p.orphan(key)
		return
	}
	if first, again := p.current.seen[key]; again {
		p.fail(key, "", fmt.Sprintf("%s is already in line %d", key, first))
		return
	}
	p.current.seen[key] = p.line
	value, problem := parseValue(rest)
	switch {
	case key == "":
		problem = "line has no key"
	case !validKey(key):
		problem = fmt.Sprintf("%q is not a key", key)
	case problem != "":
		problem = key + " " + problem
	}
	if problem != "" {
		p.fail(key, value, problem)
	}
	p.current.entries = append(p.current.entries, nativeEntry{key, value, p.line, problem != ""})
}

// orphan reports the first key before any section. A file of another format
// would otherwise get an error for each of its lines.
func (p *nativeParser) orphan(key string) {
	if !p.orphaned {
		p.fail(key, "", fmt.Sprintf("%q stands before any section", key))
	}
	p.orphaned = true
}

// fail reports an error in the current line: about a key of the current
// section, if key is not empty.
func (p *nativeParser) fail(key, value, msg string) {
	e := &cfg.Error{Line: p.line, Key: key, Value: value, Msg: msg}
	if p.current != nil && key != "" {
		e.Section = p.current.name
	}
	p.errs = append(p.errs, e)
}

func (p *nativeParser) tree() map[string]any {
	tree := make(map[string]any, len(p.sections))
	for _, s := range p.sections {
		values := make(map[string]any, len(s.entries))
		for _, e := range s.entries {
			if !e.broken {
				values[e.key] = e.value
			}
		}
		tree[s.name] = values
	}
	return tree
}

// splitKey cuts a line after its key, and the separator off the rest.
func splitKey(line string) (key, rest string) {
	end := strings.IndexAny(line, blanks+"=")
	if end < 0 {
		return line, ""
	}
	rest = strings.TrimLeft(line[end:], blanks)
	rest = strings.TrimPrefix(rest, "=")
	return line[:end], strings.TrimLeft(rest, blanks)
}

// parseValue reads the value at the beginning of s. The problem, if any, is
// the end of a sentence that begins with the key.
func parseValue(s string) (value, problem string) {
	if strings.HasPrefix(s, `"`) {
		return parseQuoted(s)
	}
	for i := range len(s) {
		if comment(s[i:]) && (i == 0 || strings.ContainsRune(blanks, rune(s[i-1]))) {
			s = s[:i]
			break
		}
	}
	if s = strings.TrimRight(s, blanks); s == "" {
		return "", "needs a value"
	}
	return s, ""
}

func parseQuoted(s string) (value, problem string) {
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "has a quote that does not end, or a bad escape in it"
	}
	rest := s[len(quoted):]
	tail := strings.TrimLeft(rest, blanks)
	if tail != "" && (!comment(tail) || tail == rest) {
		return "", fmt.Sprintf("has %q after its closing quote", tail)
	}
	value, err = strconv.Unquote(quoted)
	if err != nil || !validValue(value) {
		return "", badValue
	}
	return value, ""
}

func comment(s string) bool {
	return strings.HasPrefix(s, "#") || strings.HasPrefix(s, ";")
}
