package cfg

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/knadh/koanf/parsers/json"
)

// yamlLine finds the line in an error of the YAML parser, which has it in no
// other place. One error may list several. It is compiled when there is one:
// a daemon that starts has better things to do.
var yamlLine = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^(?:yaml: | +)line (\d+): (.*)$`)
})

// foreign reports an error of one of the parsers that are not ours.
func (l *loader) foreign(err error, data []byte) {
	if places := yamlLine().FindAllStringSubmatch(err.Error(), -1); places != nil {
		for _, m := range places {
			line, _ := strconv.Atoi(m[1]) // 0, for unknown, is as good as an error
			l.fail(&Error{Line: line, Msg: plain(m[2])})
		}
		return
	}
	l.fail(&Error{Line: lineOf(err, data), Msg: plain(err.Error())})
}

// lineOf returns the line that err is about, or 0.
func lineOf(err error, data []byte) int {
	var (
		syntax *stdjson.SyntaxError
		ranged interface{ Position() (row, column int) } // TOML's
	)
	switch {
	case errors.As(err, &syntax):
		return lineAt(data, syntax.Offset)
	case errors.As(err, &ranged):
		line, _ := ranged.Position()
		return line
	}
	return 0
}

func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(offset, int64(len(data)))], []byte("\n"))
}

// plain puts the parsers' messages into the words of a configuration.
func plain(msg string) string {
	if strings.Contains(msg, "map[string]interface") {
		return "the file is not made of sections"
	}
	for _, prefix := range []string{"yaml: ", "toml: ", "json: "} {
		msg = strings.TrimPrefix(msg, prefix)
	}
	return msg
}

// onceJSON is a JSON parser that reports keys which are there twice. Of two
// sections with one name, encoding/json silently drops the first; the parsers
// of the other formats report that themselves.
type onceJSON struct {
	*json.JSON
	loader *loader
}

// Unmarshal implements koanf.Parser.
func (p *onceJSON) Unmarshal(data []byte) (map[string]any, error) {
	tree, err := p.JSON.Unmarshal(data)
	if err != nil {
		return nil, err
	}
	w := jsonWalk{dec: stdjson.NewDecoder(bytes.NewReader(data)), data: data, loader: p.loader}
	w.value("", 0)
	return tree, nil
}

// jsonWalk goes through a document that is known to be valid.
type jsonWalk struct {
	dec    *stdjson.Decoder
	data   []byte
	loader *loader
}

// value walks over one value; depth counts the objects and arrays around it.
func (w *jsonWalk) value(section string, depth int) {
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

func (w *jsonWalk) once(seen map[string]bool, section, name string, depth int) {
	if seen[name] && depth <= 1 {
		e := &Error{Line: lineAt(w.data, w.dec.InputOffset()), Section: section, Key: name, Msg: fmt.Sprintf("%q is already defined", name)}
		w.loader.fail(e)
	}
	seen[name] = true
}
