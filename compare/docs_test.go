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

// The pages and the pictures show what the CSV files say.
func TestDocsAreMadeOfTheFigures(t *testing.T) {
	docs := filepath.Join("..", "docs")
	result, err := report.Read(filepath.Join(docs, "compare"))
	if err != nil {
		t.Fatal(err)
	}
	for name, figures := range report.Pages {
		page, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := report.Page(page, figures(result))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(page, want) {
			t.Errorf("%s is not made of docs/compare/*.csv: %s", name, again)
		}
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
