// Package format knows which formats a configuration may have besides the native one, and which of them the program
// reads. Their parsers are larger than all that reads the native format, and most programs use none of them: each is
// in a package below cfg, which registers it here when a program imports it.
package format

import (
	"fmt"
	"path/filepath"
	"strings"
)

// MaxSize is how many bytes a configuration may have, and those that aliases in it stand for.
const MaxSize = 128 << 10

// MaxSections is how many sections it may have. Some of what is done for a section looks at all others, and nobody has so many groups.
const MaxSections = 1000

// Mistake is something wrong in a file. Every field but Msg may be zero.
type Mistake struct {
	Line         int // from 1
	Section, Key string
	Msg          string
}

// Parser makes a tree of a file, with one map for each section, or says what is wrong with it.
type Parser func(data []byte) (map[string]any, []Mistake)

// names has the names of the formats, which are those of their packages, by extension.
var names = map[string]string{".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json"}

// parsers has those that are registered, by the name of the format.
var parsers = make(map[string]Parser)

// Register adds a parser. It is called while the program's packages are initialized.
func Register(name string, p Parser) { parsers[name] = p }

// Of returns the name of the format that a file has by its extension, and its parser. The name is empty for the native
// format, and the parser nil where the program has not imported it. The case of the extension does not count: a
// ".YAML" would be read as native, with an error on its first line that helps nobody.
func Of(file string) (name string, p Parser) {
	name = names[strings.ToLower(filepath.Ext(file))]
	return name, parsers[name]
}

// Missing says what a program lacks that is to read a format.
func Missing(name string) string {
	return fmt.Sprintf("this program does not read %s: for that it needs import _ %q",
		strings.ToUpper(name), "bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg/"+name)
}

// Said returns an error of a parser, whose prefix it cuts off, in the words of a configuration.
func Said(err error, prefix string) string {
	msg := err.Error()
	if strings.Contains(msg, "map[string]interface") {
		return "the file is not made of sections"
	}
	return strings.TrimPrefix(msg, prefix)
}
