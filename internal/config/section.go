package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
)

// section hands out the values of one section by type. What is wrong with a
// value becomes an error at its place, and the default is handed out instead.
type section struct {
	*loader
	name   string
	values map[string]string
}

// newSection turns raw values into strings, and reports those that it cannot
// or that do not belong here.
func newSection(l *loader, name string, raw map[string]any) *section {
	s := &section{loader: l, name: name, values: make(map[string]string, len(raw))}
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		if !slices.Contains(keysOf(name), key) {
			e := s.newError(key, "", "")
			e.Msg, e.Suggestion = unknownKey(name, key)
			l.fail(e)
			l.excuse(name, e.Suggestion) // "listen is missing" would be no news
			continue
		}
		value, problem := single(key, raw[key])
		if problem != "" {
			s.fail(key, value, "%s %s", key, problem)
			l.excuse(name, key)
			continue
		}
		s.values[key] = value
	}
	return s
}

// single returns the value of key as a string. The problem, if any, is the end
// of a sentence that begins with the key.
func single(key string, v any) (value, problem string) {
	if all, ok := v.([]any); ok && slices.Contains(lists, key) {
		v = joined(all)
	}
	value, ok := scalar(v)
	_, text := v.(string)
	_, truth := v.(bool)
	switch {
	case v == nil, value == "" && ok && !slices.Contains(mayBeEmpty, key):
		return "", "needs a value"
	case !ok:
		return "", "is not a single value"
	case !validValue(value):
		return value, badValue
	case (key == "socket_mode" || key == "umask") && !text:
		// YAML reads 0660 as 432, and JSON has no octal numbers at all.
		return value, `has to be in quotes, as in "0660": a number may not be the one that was written`
	case (key == "user" || key == "group" || key == "socket_owner") && !text:
		// YAML reads 0100 as 64.
		return value, `has to be in quotes, as in "1000": a number may not be the one that was written`
	case truth && key != "supervise" && key != "fdstore" && key != "http2" && key != "move_tls":
		return value, fmt.Sprintf("cannot be %s", value)
	}
	return value, ""
}

// joined returns a list of strings as it would be written in a native file, or v itself.
func joined(v []any) any {
	var texts []string
	for _, one := range v {
		text, ok := one.(string)
		if !ok {
			return v
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

// scalar returns v as it would be written in a native file, and whether v is a
// single value at all.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool, int, int64, uint64:
		return fmt.Sprint(v), true
	case float64:
		if v == math.Trunc(v) { // JSON has no other numbers: 443 must not become 4.43e+02
			return strconv.FormatFloat(v, 'f', -1, 64), true
		}
		return strconv.FormatFloat(v, 'g', -1, 64), true
	}
	return "", false
}

// fail reports an error in the value of key, or in the section as a whole if
// key is empty or absent.
func (s *section) fail(key, value, format string, args ...any) {
	s.loader.fail(s.newError(key, value, format, args...))
}

func (s *section) newError(key, value, format string, args ...any) *cfg.Error {
	line, ok := s.lines[keyPath{s.name, key}]
	if !ok {
		line = s.lines[keyPath{s.name, ""}]
	}
	variable := s.variables[keyPath{s.name, key}]
	if variable != "" {
		line = 0
	}
	return &cfg.Error{
		Line:     line,
		Variable: variable,
		Section:  s.name,
		Key:      key,
		Value:    value,
		Msg:      fmt.Sprintf(format, args...),
	}
}

// get returns the value of key, and whether there is one.
func (s *section) get(key string) (string, bool) {
	value, ok := s.values[key]
	return value, ok
}

// text returns the value of key, or "".
func (s *section) text(key string) string { return s.values[key] }

// require reports an error if key is missing and nothing else explains why.
func (s *section) require(key, why string) {
	_, excused := s.excused[keyPath{s.name, key}]
	if _, ok := s.get(key); !ok && !excused {
		s.fail(key, "", "%s is missing%s", key, why)
	}
}

// forbid reports an error if key is there.
func (s *section) forbid(key, why string) {
	if value, ok := s.get(key); ok {
		s.fail(key, value, "%s is for %s only", key, why)
	}
}

// path returns the value of key as an absolute path, or "" if it has none.
func (s *section) path(key string) string {
	return s.absolute(s.text(key))
}

// paths returns the values of key, which has several, as absolute paths; nil if it has none.
func (s *section) paths(key string) (paths []string) {
	value, ok := s.get(key)
	if !ok {
		return nil
	}
	for one := range strings.SplitSeq(value, ",") {
		one = strings.Trim(one, blanks)
		if one == "" {
			s.fail(key, value, "%s %q has a comma without a file before or after it", key, value)
			return nil
		}
		paths = append(paths, s.absolute(one))
	}
	return paths
}

func (s *section) absolute(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(s.dir, path)
}

// choice returns the value of key, one of several words.
func (s *section) choice(key string, words []string) (string, bool) {
	value, ok := s.get(key)
	if ok && !slices.Contains(words, value) {
		e := s.newError(key, value, "unknown %s %q", key, value)
		if e.Suggestion = suggest(value, words); e.Suggestion == "" {
			e.Msg += fmt.Sprintf(", it is one of %s", strings.Join(words, ", "))
		}
		s.loader.fail(e)
		return "", false
	}
	return value, ok
}

// longestDuration bounds every duration: several of them are added up, and the sum must be one.
const longestDuration = 366 * 24 * time.Hour

// duration returns the value of key, which is at least least.
func (s *section) duration(key string, def, least time.Duration) time.Duration {
	value, ok := s.get(key)
	if !ok {
		return def
	}
	d, err := time.ParseDuration(value)
	switch {
	case digits(value):
		// Also 0, which Go would take: whether a file is right should not
		// depend on its numbers.
		s.fail(key, value, `%s %q needs a unit, as in "10s"`, key, value)
	case err != nil:
		s.fail(key, value, `%s %q is not a duration, as in "1m30s"`, key, value)
	case d < 0:
		s.fail(key, value, "%s %q is negative", key, value)
	case d > longestDuration:
		s.fail(key, value, "%s %q is too long: it can be %dh, a year, at most", key, value, longestDuration/time.Hour)
	case d < least:
		s.fail(key, value, "%s %q is too short: it has to be over 0", key, value)
	default:
		return d
	}
	return def
}

// number returns the value of key, a whole number of least or more that fits
// into so many bits.
func (s *section) number(key string, bits int, def, least uint64) uint64 {
	value, ok := s.get(key)
	if !ok {
		return def
	}
	n, err := strconv.ParseUint(value, 10, bits)
	switch {
	case errors.Is(err, strconv.ErrRange):
		s.fail(key, value, "%s %q is too large", key, value)
	case err != nil || n < least:
		s.fail(key, value, "%s %q is not a whole number of %d or more", key, value, least)
	default:
		return n
	}
	return def
}
