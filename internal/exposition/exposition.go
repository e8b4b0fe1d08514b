// Package exposition adds up what several processes of one program say to Prometheus, in its text format, version 0.0.4
// (prometheus.io/docs/instrumenting/exposition_formats).
package exposition

import (
	"strconv"
	"strings"
)

// Sum returns the text base with the counts of the others added: counters, histograms, and the sums and counts of summaries. Everything else, such
// as gauges, is base's. What only others have is counted, too. Lines that are not of the format are dropped from others, and kept in base.
func Sum(base string, others ...string) string {
	t := newText(base)
	for _, other := range others {
		t.add(newText(other))
	}
	return t.String()
}

// Counts returns what Sum would add of a text.
func Counts(text string) string { return Sum("", text) }

// text is an exposition.
type text struct {
	families []*family // in the order of the text; the first one, without a name, has what belongs to none
	byName   map[string]*family
}

// family is the samples of one metric.
type family struct {
	name, kind string
	head       []string // its lines of comment
	samples    []*sample
	byKey      map[string]*sample
}

// sample is one line.
type sample struct {
	key  string // name and labels, as they stand there
	line string // all of it, if it is as it was read
	sum  float64
}

func newText(s string) *text {
	t := &text{byName: make(map[string]*family)}
	now := t.family("")
	for line := range strings.Lines(s) {
		line = strings.TrimRight(line, "\r\n")
		if name, kind, ok := comment(line); ok {
			if now.name != name {
				now = t.family(name)
			}
			if kind != "" {
				now.kind = kind
			}
			now.head = append(now.head, line)
			continue
		}
		now.note(line)
	}
	return t
}

// comment returns what a line says of a family: HELP, or its TYPE.
func comment(line string) (name, kind string, ok bool) {
	rest, isHelp := strings.CutPrefix(line, "# HELP ")
	if isHelp {
		name, _, _ = strings.Cut(rest, " ")
		return name, "", name != ""
	}
	rest, isType := strings.CutPrefix(line, "# TYPE ")
	name, kind, ok = strings.Cut(rest, " ")
	return name, kind, isType && ok && name != ""
}

func (t *text) family(name string) *family {
	f := t.byName[name]
	if f == nil {
		f = &family{name: name, byKey: make(map[string]*sample)}
		t.families, t.byName[name] = append(t.families, f), f
	}
	return f
}

// note takes a line that is no comment on a family. A key that is there already is no sample of its own.
func (f *family) note(line string) {
	if line == "" {
		return
	}
	s := &sample{line: line}
	if key, value, ok := split(line); ok && f.byKey[key] == nil {
		s.key, s.sum, f.byKey[key] = key, value, s
	}
	f.samples = append(f.samples, s)
}

// split takes a sample apart. A time stamp is left out.
func split(line string) (key string, value float64, ok bool) {
	end := strings.IndexAny(line, "{ ")
	if end <= 0 || line[0] == '#' {
		return "", 0, false
	}
	if line[end] == '{' {
		labels := labelsEnd(line[end:])
		if labels < 0 {
			return "", 0, false
		}
		end += labels
	}
	number, _, _ := strings.Cut(strings.TrimLeft(line[end:], " "), " ")
	value, err := strconv.ParseFloat(number, 64)
	return line[:end], value, err == nil
}

// labelsEnd returns where the labels end with which s begins; -1 if they do not.
func labelsEnd(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && s[i] == '}':
			return i + 1
		}
	}
	return -1
}

// counts reports whether a sample of the family is a count, so that those of several processes can be added.
func (f *family) counts(s *sample) bool {
	switch f.kind {
	case "counter", "histogram":
		return s.key != ""
	case "summary":
		name, _, _ := strings.Cut(s.key, "{")
		return name == f.name+"_sum" || name == f.name+"_count"
	}
	return false
}

func (t *text) add(other *text) {
	for _, from := range other.families {
		var to *family
		for _, s := range from.samples {
			if !from.counts(s) {
				continue
			}
			if to == nil {
				if to = t.family(from.name); to.head == nil && len(to.samples) == 0 {
					to.kind, to.head = from.kind, from.head
				}
			}
			if to.kind == from.kind {
				to.add(s)
			}
		}
	}
}

func (f *family) add(s *sample) {
	have := f.byKey[s.key]
	if have == nil {
		have = &sample{key: s.key}
		f.samples, f.byKey[s.key] = append(f.samples, have), have
	}
	have.sum += s.sum
	have.line = have.key + " " + strconv.FormatFloat(have.sum, 'g', -1, 64)
}

// String is the text as it is now.
func (t *text) String() string {
	var b strings.Builder
	for _, f := range t.families {
		for _, line := range f.head {
			b.WriteString(line + "\n")
		}
		for _, s := range f.samples {
			b.WriteString(s.line + "\n")
		}
	}
	return b.String()
}
