package cfg

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Marshal writes one section for each map in tree, sections and keys sorted by
// name. Values are strings, numbers and truth values; as the native format
// knows strings only, that is what Unmarshal makes of all of them. What the
// format cannot hold is an error: other values, values outside sections, names
// with characters that it does not take.
func (Native) Marshal(tree map[string]any) ([]byte, error) {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		values, ok := tree[name].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("cfg: %q is outside any section", name)
		}
		if !validName(name) {
			return nil, fmt.Errorf("cfg: %s", badName(name))
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "[%s]\n", name)
		if err := marshalSection(&b, values); err != nil {
			return nil, fmt.Errorf("cfg: [%s]: %w", name, err)
		}
	}
	return b.Bytes(), nil
}

func marshalSection(b *bytes.Buffer, values map[string]any) error {
	keys := slices.Sorted(maps.Keys(values))
	width := 0
	for _, key := range keys {
		width = max(width, len(key))
	}
	for _, key := range keys {
		if !validKey(key) {
			return fmt.Errorf("%q is not a key", key)
		}
		value, ok := scalar(values[key])
		if !ok || !validValue(value) {
			return fmt.Errorf("%s cannot be written: %#v", key, values[key])
		}
		fmt.Fprintf(b, "%-*s  %s\n", width, key, quoteValue(value))
	}
	return nil
}

// quoteValue puts s in quotes where parseValue would not read it as it is.
func quoteValue(s string) string {
	plain := s != "" && s == strings.Trim(s, " ") && s[0] != '=' && !strings.ContainsAny(s, `#;"`)
	for _, r := range s {
		plain = plain && strconv.IsPrint(r)
	}
	if plain {
		return s
	}
	return strconv.Quote(s)
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
