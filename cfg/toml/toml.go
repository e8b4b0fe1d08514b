// Package toml lets a program read configurations in TOML, from files that end in .toml. It is imported for that effect
// alone:
//
//	import _ "bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg/toml"
package toml

import (
	"errors"

	"github.com/knadh/koanf/parsers/toml/v2"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/format"
)

func init() { format.Register("toml", parse) }

func parse(data []byte) (map[string]any, []format.Mistake) {
	tree, err := toml.Parser().Unmarshal(data)
	if err == nil {
		return tree, nil
	}
	m := format.Mistake{Msg: format.Said(err, "toml: ")}
	var ranged interface{ Position() (row, column int) }
	if errors.As(err, &ranged) {
		m.Line, _ = ranged.Position()
	}
	return nil, []format.Mistake{m}
}
