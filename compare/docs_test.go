package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/plots"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/report"
)

const again = "write it anew: go run -C compare . -docs -render"

// The page and the pictures show what the CSV files say.
func TestDocsAreMadeOfTheFigures(t *testing.T) {
	docs := filepath.Join("..", "docs")
	result, err := report.Read(filepath.Join(docs, "compare"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(docs, "compare.md"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := report.Page(page, result)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, want) {
		t.Errorf("docs/compare.md is not made of docs/compare/*.csv: %s", again)
	}
	pictures := plots.All(result)
	for name, want := range pictures {
		if got, err := os.ReadFile(filepath.Join(docs, "compare", name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/compare/%s is not made of the CSV files beside it (%v): %s", name, err, again)
		}
	}
	there, err := filepath.Glob(filepath.Join(docs, "compare", "*.svg"))
	if err != nil || len(there) != len(pictures) {
		t.Errorf("docs/compare has %d pictures, want %d (%v)", len(there), len(pictures), err)
	}
}
