package upgrade

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// fields are those of a JSON object, each of which may be missing. A process that starts decodes one message in its life,
// and others wait for it: to learn the types of the structs, as encoding/json would, takes longer than to read the text.
// The methods return the zero value for what is missing or null, and note what is of another type.
type fields struct {
	values map[string]any
	path   string // what errors have before a field's name
	err    *error // the first one; shared by all objects of a message
}

// openFields reads a message.
func openFields(data []byte) (fields, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber() // a float64 does not hold all integers
	var message any
	if err := dec.Decode(&message); err != nil {
		return fields{}, err
	}
	values, ok := message.(map[string]any)
	if !ok {
		return fields{}, errors.New("it is no JSON object")
	}
	return fields{values: values, err: new(error)}, nil
}

func (f fields) fail(name string, err error) {
	if err != nil && *f.err == nil {
		*f.err = fmt.Errorf("%s%s: %w", f.path, name, err)
	}
}

// field returns a value as encoding/json decodes it into an any.
func field[T any](f fields, name string) T {
	value, ok := f.values[name].(T)
	if !ok && f.values[name] != nil {
		f.fail(name, fmt.Errorf("unexpected %T", f.values[name]))
	}
	return value
}

func (f fields) text(name string) string { return field[string](f, name) }

func (f fields) bool(name string) bool { return field[bool](f, name) }

func (f fields) int(name string) int64 { return number(f, name, strconv.ParseInt) }

func (f fields) uint(name string) uint64 { return number(f, name, strconv.ParseUint) }

func number[T int64 | uint64](f fields, name string, parse func(s string, base, bits int) (T, error)) T {
	text := field[json.Number](f, name)
	if text == "" {
		return 0
	}
	n, err := parse(string(text), 10, 64)
	f.fail(name, err)
	return n
}

func (f fields) time(name string) time.Time {
	text := f.text(name)
	if text == "" {
		return time.Time{}
	}
	var t time.Time
	f.fail(name, t.UnmarshalText([]byte(text)))
	if t.IsZero() {
		return time.Time{} // in no zone, as it is when it is left out
	}
	return t
}

// bytes returns nil for null, and only for that.
func (f fields) bytes(name string) []byte {
	if f.values[name] == nil {
		return nil
	}
	data, err := base64.StdEncoding.DecodeString(f.text(name))
	f.fail(name, err)
	return data
}

func (f fields) object(name string) fields {
	return fields{values: field[map[string]any](f, name), path: f.path + name + ".", err: f.err}
}

// elements returns what of makes of each element of an array, which it finds under the name that it is given. It is nil where there
// is none.
func elements[T any](f fields, name string, of func(list fields, name string) T) []T {
	array := field[[]any](f, name)
	if len(array) == 0 {
		return nil
	}
	all := make([]T, len(array))
	for i, element := range array {
		index := "[" + strconv.Itoa(i) + "]"
		all[i] = of(fields{values: map[string]any{index: element}, path: f.path + name, err: f.err}, index)
	}
	return all
}
