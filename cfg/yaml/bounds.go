package yaml

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/format"
)

// maxKeys bounds the keys of one mapping: Decode compares each with all the others, again for each alias of it. The mapping of all sections
// is the largest that anybody needs.
const maxKeys = format.MaxSections

// oversized says where a document would cost far more than its text: by a mapping of too many keys, or by aliases. Decode has a bound of its own
// for these, which is a hundred times as high, and what it counts is nodes, whatever their length.
func oversized(doc *yaml.Node) []format.Mistake {
	b := bounds{full: make(map[*yaml.Node]int)}
	b.look(doc)
	return b.mistakes
}

type bounds struct {
	full     map[*yaml.Node]int // what has an anchor, and its length with the aliases in it written out
	added    int                // by aliases, so far
	mistakes []format.Mistake   // none, or one
}

// look goes through n as it stands in the file, until there is a mistake.
func (b *bounds) look(n *yaml.Node) {
	switch {
	case n.Kind == yaml.MappingNode && len(n.Content)/2 > maxKeys:
		b.mistakes = []format.Mistake{{Line: n.Line, Msg: fmt.Sprintf("mapping has %d keys: %d is the most", len(n.Content)/2, maxKeys)}}
	case n.Kind == yaml.AliasNode:
		if b.added = min(b.added+b.written(n), format.MaxSize+1); b.added > format.MaxSize {
			b.mistakes = []format.Mistake{{Line: n.Line, Msg: fmt.Sprintf("aliases come to more than %d bytes, with all that they stand for written out", format.MaxSize)}}
		}
	}
	for _, c := range n.Content {
		if b.mistakes != nil {
			return
		}
		b.look(c)
	}
}

// written returns the length of n with its aliases written out, and a byte more for each node; what is over the bound may come to no more than that.
// An alias within what it stands for counts nothing: Decode refuses it when it gets there.
func (b *bounds) written(n *yaml.Node) int {
	if n.Kind == yaml.AliasNode {
		length, seen := b.full[n.Alias]
		if !seen {
			b.full[n.Alias] = 0
			length = b.written(n.Alias)
			b.full[n.Alias] = length
		}
		return length
	}
	length := len(n.Value) + 1
	for _, c := range n.Content {
		length = min(length+b.written(c), format.MaxSize+1)
	}
	return length
}
