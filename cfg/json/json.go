// Package json lets a program read configurations in JSON, from files that end in .json. It is imported for that effect
// alone:
//
//	import _ "bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg/json"
package json

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"

	"github.com/knadh/koanf/parsers/json"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/format"
)

func init() { format.Register("json", parse) }

// parse also reports keys that are there twice. Of two sections with one name, encoding/json silently drops the first;
// the parsers of the other formats report that themselves.
func parse(data []byte) (map[string]any, []format.Mistake) {
	tree, err := json.Parser().Unmarshal(data)
	if err == nil {
		w := walk{dec: stdjson.NewDecoder(bytes.NewReader(data)), data: data}
		w.value("", 0)
		return tree, w.twice
	}
	m := format.Mistake{Msg: format.Said(err, "json: ")}
	if syntax := (*stdjson.SyntaxError)(nil); errors.As(err, &syntax) {
		m.Line = lineAt(data, syntax.Offset)
	}
	return nil, []format.Mistake{m}
}

func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(offset, int64(len(data)))], []byte("\n"))
}

// walk goes through a document that is known to be valid.
type walk struct {
	dec   *stdjson.Decoder
	data  []byte
	twice []format.Mistake
}

// value walks over one value; depth counts the objects and arrays around it.
func (w *walk) value(section string, depth int) {
	t, _ := w.dec.Token()
	d, nested := t.(stdjson.Delim)
	if !nested {
		return
	}
	seen := make(map[string]bool)
	for w.dec.More() {
		name := section
		if d == '{' {
			key, _ := w.dec.Token()
			name, _ = key.(string)
			w.once(seen, section, name, depth)
		}
		w.value(name, depth+1)
	}
	_, _ = w.dec.Token() // the closing delimiter
}

func (w *walk) once(seen map[string]bool, section, name string, depth int) {
	if seen[name] && depth <= 1 {
		w.twice = append(w.twice, format.Mistake{
			Line: lineAt(w.data, w.dec.InputOffset()), Section: section, Key: name, Msg: fmt.Sprintf("%q is already defined", name),
		})
	}
	seen[name] = true
}
