// Package yaml lets a program read configurations in YAML, from files that end in .yaml or .yml. It is imported for
// that effect alone:
//
//	import _ "bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg/yaml"
package yaml

import (
	"errors"
	"regexp"
	"strconv"

	"github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/parsers/yaml"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/format"
)

const prefix = "yaml: "

func init() { format.Register("yaml", parse) }

func parse(data []byte) (map[string]any, []format.Mistake) {
	tree, err := yaml.Parser().Unmarshal(data)
	if err != nil {
		return nil, mistakes(err)
	}
	maps.IntfaceKeysToStrings(tree) // YAML has other keys too
	return tree, nil
}

// mistakes finds the lines in an error of the parser, which has them in no other place. One error may list several.
func mistakes(err error) []format.Mistake {
	var all []format.Mistake
	line := regexp.MustCompile(`(?m)^(?:yaml: | +)line (\d+): (.*)$`)
	for _, m := range line.FindAllStringSubmatch(err.Error(), -1) {
		number, _ := strconv.Atoi(m[1]) // 0, for unknown, is as good as an error
		all = append(all, format.Mistake{Line: number, Msg: format.Said(errors.New(m[2]), prefix)})
	}
	if all == nil {
		all = []format.Mistake{{Msg: format.Said(err, prefix)}}
	}
	return all
}
