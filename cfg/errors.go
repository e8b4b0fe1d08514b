package cfg

import (
	"fmt"
	"strings"
)

// Error is one mistake in a configuration. Every field but Msg may be zero.
type Error struct {
	// File is the name of the file, as it was given to the program.
	File string

	// Line counts from 1. It is 0 where the line is unknown, and for mistakes
	// that no single line makes.
	Line int

	// Variable is the environment variable that the mistake is in. If set,
	// Line is 0 and File is not part of the text: the file is not to blame.
	Variable string

	// Section, Key and Value say what the mistake is about.
	Section, Key, Value string

	// Msg says what is wrong; it repeats key and value where that helps.
	Msg string

	// Suggestion is what was probably meant.
	Suggestion string
}

// Error returns one line in the form
//
//	app.conf:7: [web]: unknown key "listne" (did you mean "listen"?)
//
// without what is not known. A variable is written $GOZD_WEB_LISTNE.
func (e *Error) Error() string {
	var b strings.Builder
	if at := e.place(); at != "" {
		b.WriteString(at + ": ")
	}
	if e.Section != "" {
		b.WriteString("[" + e.Section + "]: ")
	}
	b.WriteString(e.Msg)
	if e.Suggestion != "" {
		fmt.Fprintf(&b, " (did you mean %q?)", e.Suggestion)
	}
	return b.String()
}

func (e *Error) place() string {
	switch {
	case e.Variable != "":
		return "$" + e.Variable
	case e.Line == 0:
		return e.File
	case e.File == "":
		return fmt.Sprintf("line %d", e.Line)
	}
	return fmt.Sprintf("%s:%d", e.File, e.Line)
}

// Errors is everything that is wrong with a configuration: in the order of the
// file, and then what is wrong with the environment. Of more than 1000 errors there are the first, and
// one that counts the others. It is never empty when it is returned as an error.
type Errors []*Error

// Error returns one line for each error.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors one by one, for errors.As.
func (es Errors) Unwrap() []error {
	all := make([]error, len(es))
	for i, e := range es {
		all[i] = e
	}
	return all
}
