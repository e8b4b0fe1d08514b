package envfile

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/go-envparse"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// maxSize is how many bytes a file may have. Who gives more has named the wrong
// file; and the kernel has limits for the environment of a new process.
const maxSize = 1 << 20

// reserved begins the names of gozd's own variables.
const reserved = "GOZD_"

// Read returns the variables in the file at path. The error names the file, and the
// line where it is in one; it wraps that of opening or reading.
func Read(path string) (map[string]string, error) {
	data, err := process.ReadFile(path, maxSize)
	if err != nil {
		return nil, err
	}
	vars, line, err := parse(string(data))
	if err != nil {
		return nil, fmt.Errorf("%s:%d: %w", path, line, err)
	}
	return vars, nil
}

// parse returns the variables, or the first error and its line, from 1.
func parse(text string) (vars map[string]string, line int, err error) {
	vars = make(map[string]string)
	seen := make(map[string]int)
	for text := range strings.SplitSeq(text, "\n") {
		line++
		name, value, err := parseLine(text)
		switch first, again := seen[name]; {
		case err != nil:
			return nil, line, err
		case name == "":
		case again:
			return nil, line, fmt.Errorf("%s is already in line %d", name, first)
		default:
			vars[name], seen[name] = value, line
		}
	}
	return vars, line, nil
}

// parseLine returns what one line sets; the name is "" if it sets nothing.
func parseLine(line string) (name, value string, err error) {
	if text := strings.TrimSpace(line); text == "" || text[0] == '#' || text[0] == ';' { // ; is a comment for systemd, too
		return "", "", nil
	}
	vars, err := envparse.Parse(strings.NewReader(line))
	if err != nil {
		return "", "", plain(err)
	}
	if cutsValue(line) {
		return "", "", errors.New("a value with a # in it has to be in quotes")
	}
	for name, value = range vars { // one, or none
		switch {
		case strings.HasPrefix(strings.ToUpper(name), reserved):
			return "", "", fmt.Errorf("%s cannot be set here: variables that begin with %s are read before this file", name, reserved)
		case strings.Contains(value, "\x00"):
			return "", "", fmt.Errorf("%s holds a NUL byte", name)
		}
	}
	return name, value, nil
}

// cutsValue reports whether the comment of a good line begins right behind a value.
// To the library it is a comment, to systemd and the shell part of the value: what was meant
// as a password must not lose its end.
func cutsValue(line string) bool {
	_, value, _ := strings.Cut(line, "=")
	quote := byte(0) // the one that is open
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case quote == 0 && c == '#':
			return i > 0 && value[i-1] != ' '
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		case quote == '"' && c == '\\':
			i++ // what is escaped ends no quote
		}
	}
	return false
}

// plain leaves out the library's count of lines: each is a text of its own to it.
func plain(err error) error {
	parse := new(envparse.ParseError)
	if !errors.As(err, &parse) {
		return err
	}
	if errors.Is(parse.Err, bufio.ErrTooLong) { // ParseError does not unwrap
		return fmt.Errorf("line is longer than %d bytes", bufio.MaxScanTokenSize)
	}
	return parse.Err
}
