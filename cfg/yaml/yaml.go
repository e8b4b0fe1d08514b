// Package yaml lets a program read configurations in YAML, from files that end in .yaml or .yml. It is imported for
// that effect alone:
//
//	import _ "bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg/yaml"
package yaml

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/knadh/koanf/maps"
	"go.yaml.in/yaml/v3"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/format"
)

const prefix = "yaml: "

func init() { format.Register("yaml", parse) }

func parse(data []byte) (map[string]any, []format.Mistake) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, mistakes(err)
	}
	if all := oversized(&doc); all != nil {
		return nil, all
	}
	if all := repeated(&doc, nil); all != nil {
		return nil, all
	}
	var tree map[string]any
	if err := doc.Decode(&tree); err != nil {
		return nil, mistakes(err)
	}
	maps.IntfaceKeysToStrings(tree) // YAML has other keys too
	return tree, nil
}

// repeated adds a mistake for each time that a mapping has a key again. Decode finds them too, with an error for every pair: another user's file with
// one key 20,000 times would take all of root's memory.
func repeated(n *yaml.Node, all []format.Mistake) []format.Mistake {
	if n.Kind == yaml.MappingNode {
		type key struct {
			kind  yaml.Kind
			value string
		}
		lines := make(map[key]int, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			k := n.Content[i]
			first, has := lines[key{k.Kind, k.Value}]
			if !has {
				lines[key{k.Kind, k.Value}] = k.Line
				continue
			}
			all = append(all, format.Mistake{Line: k.Line, Msg: fmt.Sprintf("mapping key %q already defined at line %d", k.Value, first)})
		}
	}
	for _, c := range n.Content {
		all = repeated(c, all)
	}
	return all
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
