// Package printable makes text that others have written safe to show: on a terminal, control characters and
// escape sequences act, and invisible ones deceive. A daemon's words, names and paths may be a hostile user's.
package printable

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine and maxText bound what is shown of a line and of a text, in bytes.
const (
	maxLine = 4 << 10
	maxText = 64 << 10
)

// Line returns text as one line: whatever cannot be seen stands there as in a string literal of Go, as do bytes that are no
// UTF-8. What is longer than 4 KiB is cut, and that is said.
func Line(text string) string { return escape(clip(text, maxLine), false) }

// Text is Line for a text of several lines, each of which is cut so; of the whole, 64 KiB are left.
func Text(text string) string {
	var out strings.Builder
	for line := range strings.Lines(clip(text, maxText)) {
		body, hasEnd := strings.CutSuffix(line, "\n")
		out.WriteString(escape(clip(body, maxLine), true))
		if hasEnd {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := limit
	for end > limit-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s… (%d bytes more)", text[:end], len(text)-end)
}

func escape(text string, tabs bool) string {
	var out strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, text[0])
		case IsSeen(r) || tabs && r == '\t':
			out.WriteRune(r)
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\t':
			out.WriteString(`\t`)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&out, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			fmt.Fprintf(&out, `\U%08x`, r)
		}
		text = text[size:]
	}
	return out.String()
}

// blank has what is a letter or a symbol to Unicode, which is why unicode.IsPrint knows no better, and shows nothing: two names could look the same.
var blank = []*unicode.RangeTable{
	unicode.Other_Default_Ignorable_Code_Point, // fillers, and the grapheme joiner
	unicode.Variation_Selector,
	{
		R16: []unicode.Range16{{Lo: 0x2800, Hi: 0x2800, Stride: 1}}, // of Braille
		R32: []unicode.Range32{
			{Lo: 0x13441, Hi: 0x13442, Stride: 1}, // of hieroglyphs
			{Lo: 0x16fe4, Hi: 0x16fe4, Stride: 1}, // a filler of Khitan
			{Lo: 0x1d159, Hi: 0x1d159, Stride: 1}, // a head of no note
		},
	},
}

// IsSeen reports whether r shows something, or is the blank that everybody knows.
func IsSeen(r rune) bool {
	return unicode.IsPrint(r) && (r < utf8.RuneSelf || !unicode.In(r, blank...))
}

// JSON returns a JSON text in which what cannot be seen stands as JSON escapes it: the standard library does so below U+0020
// only, and a terminal acts on U+009B as on an escape sequence. What JSON holds is the same.
func JSON(data []byte) []byte {
	var out []byte
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r < utf8.RuneSelf && r != 0x7f || IsSeen(r) {
			out = append(out, data[:size]...)
		} else if r <= 0xffff {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
		data = data[size:]
	}
	return out
}
