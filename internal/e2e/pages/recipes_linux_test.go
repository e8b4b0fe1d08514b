package pages

import (
	"path/filepath"
	"strings"
	"testing"
)

// The programs on the page of recipes are those that internal/e2e/recipes upgrades, and it has all of them.
func TestRecipesAreWhatIsTested(t *testing.T) {
	const page, folder = "docs/recipes.md", "internal/e2e/recipes/"
	files, err := filepath.Glob(filepath.Join(root, folder, "*", "main.go"))
	must(t, err)
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file)) + "/main.go"
		wantFile(t, one(t, page, "go "+name), folder+name)
	}
	shown := 0
	for _, b := range blocks(t, page) {
		if strings.HasPrefix(b.info, "go ") {
			shown++
		}
	}
	if shown != len(files) || shown == 0 {
		t.Errorf("%s shows %d programs, and %s has %d", page, shown, folder, len(files))
	}
}
