package engine

import (
	"os"
	"strings"
	"testing"
)

// Every phase but the first can be reached, and every phase but the last can be left.
func TestPhases(t *testing.T) {
	into, out := make(map[phase]bool), make(map[phase]bool)
	for _, step := range transitions {
		if step.from == step.to || into[step.to] && !allowed(step.from, step.to) {
			t.Errorf("%v", step)
		}
		out[step.from], into[step.to] = true, true
	}
	for p := starting; p <= ending; p++ {
		if into[p] != (p != starting) || out[p] != (p != ending) {
			t.Errorf("phase %q: entered %t, left %t", p, into[p], out[p])
		}
	}
}

// docs/architecture.md shows the table as it is here.
func TestTransitionsAreDrawn(t *testing.T) {
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| from | to | when |\n| --- | --- | --- |\n")
	for _, step := range transitions {
		table.WriteString("| " + step.from.String() + " | " + step.to.String() + " | " + step.when + " |\n")
	}
	if !strings.Contains(string(text), table.String()) {
		t.Errorf("docs/architecture.md lacks this table:\n%s", &table)
	}
}
