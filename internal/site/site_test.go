package site

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

const (
	root       = "../.."
	repository = "https://bitbucket.org/PinIdea/go-zero-downtime-daemon/src/main/"
)

// patience is enough to compile Hugo on a busy machine.
const patience = 15 * time.Minute

// page is what links and readers need of one.
type page struct {
	ids   map[string]bool
	links []string // also those to pictures and style sheets
}

// Every link on the site leads to a page, and to a heading on it; to a file of the site; or to one of the repository. All pages are there,
// and each leads to all.
func TestSite(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	hugo := exec.CommandContext(ctx, "go", "tool", "hugo", "--destination", dir, "--noBuildLock", "--panicOnWarning", "--cacheDir", t.TempDir())
	if out, err := hugo.CombinedOutput(); err != nil {
		t.Fatalf("hugo: %v\n%s", err, out)
	}
	pages := read(t, dir)
	for _, name := range sources(t) {
		if pages[name] == nil {
			t.Errorf("%s is not there", name)
		}
	}
	links := 0
	for name, p := range pages {
		named := make(map[string]bool)
		for _, link := range p.links {
			links++
			target, err := follow(dir, pages, name, link)
			if err != nil {
				t.Errorf("%s: link to %s: %v", name, link, err)
			}
			named[target] = true
		}
		for other := range pages {
			if !named[other] {
				t.Errorf("%s does not lead to %s", name, other)
			}
		}
	}
	if links < 1000 {
		t.Errorf("there are %d links: this test does not find them", links)
	}
}

// sources are the pages that there have to be.
func sources(t *testing.T) []string {
	t.Helper()
	all := []string{"index.html"}
	for _, pattern := range []string{"docs/*.md", "docs/adr/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			name, err := filepath.Rel(root, file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, strings.TrimSuffix(filepath.ToSlash(name), ".md")+".html")
		}
	}
	return all
}

// read reads all pages below dir.
func read(t *testing.T, dir string) map[string]*page {
	t.Helper()
	pages := make(map[string]*page)
	err := filepath.WalkDir(dir, func(file string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".html" {
			return err
		}
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		node, err := html.Parse(f)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		p := &page{ids: make(map[string]bool)}
		for n := range node.Descendants() {
			for _, a := range n.Attr {
				switch a.Key {
				case "id":
					p.ids[a.Val] = true
				case "href", "src":
					p.links = append(p.links, a.Val)
				}
			}
		}
		pages[filepath.ToSlash(name)] = p
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// follow returns the name of what a link on a page leads to; "" if that is not on the site.
func follow(dir string, pages map[string]*page, from, link string) (string, error) {
	if file, ok := strings.CutPrefix(link, repository); ok {
		file, _, _ = strings.Cut(file, "#")
		if file != path.Clean(file) || path.IsAbs(file) {
			return "", fmt.Errorf("%q is no path in the repository", file)
		}
		if page := strings.TrimSuffix(file, ".md") + ".html"; file == "README.md" || pages[page] != nil {
			return "", fmt.Errorf("%s is a page of the site", file)
		}
		_, err := os.Stat(filepath.Join(root, filepath.FromSlash(file)))
		return "", err
	}
	u, err := url.Parse(link)
	if err != nil || u.IsAbs() {
		return "", err
	}
	target := from
	if u.Path != "" {
		target = path.Join(path.Dir(from), u.Path)
	}
	if p := pages[target]; p != nil {
		if u.Fragment != "" && !p.ids[u.Fragment] {
			return target, fmt.Errorf("%s has no #%s", target, u.Fragment)
		}
		return target, nil
	}
	_, err = os.Stat(filepath.Join(dir, filepath.FromSlash(target)))
	return target, err
}
