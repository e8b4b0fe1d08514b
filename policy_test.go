package gozd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

const modulePath = "bitbucket.org/PinIdea/go-zero-downtime-daemon"

// mayImport says which packages of this module each of them may import, tests
// aside. The root package is ".". What isFree is not in it: that may import all,
// and nothing that is in it may import that.
var mayImport = map[string][]string{
	".": {
		"internal/config", "listen", "httpx", "fcgix", "tcpx", "internal/engine", "internal/groups",
		"internal/activation", "internal/check", "internal/control", "internal/control/client", "internal/early", "internal/logging", "internal/printable", "internal/process", "internal/report", "internal/supervise", "internal/upgrade",
	},
	"internal/engine": {
		"internal/config", "internal/groups", "internal/listener",
		"internal/check", "internal/control/client", "internal/control/protocol", "internal/control/server", "internal/early", "internal/envfile", "internal/fault", "internal/handover", "internal/host", "internal/logging", "internal/peers", "internal/process", "internal/report", "internal/runfiles", "internal/socket", "internal/supervise", "internal/tickets", "internal/upgrade",
	},
	"internal/host":       {"internal/check", "internal/config", "internal/process"},
	"internal/peers":      {"internal/process"},
	"internal/groups":     {"internal/activation", "internal/check", "internal/config", "internal/handover", "internal/listener", "internal/socket", "internal/supervise", "internal/tickets", "internal/upgrade"},
	"internal/logging":    {"internal/config", "internal/printable"},
	"cfg":                 {},
	"cfg/json":            {"internal/format"},
	"cfg/toml":            {"internal/format"},
	"cfg/yaml":            {"internal/format"},
	"internal/activation": {"internal/fdpass"},
	"listen":              {"internal/listener"},
	"httpx":               {"internal/listener"},
	"fcgix":               {"internal/listener"},
	"tcpx":                {"internal/listener", "listen"},
	"cmd/gozdctl":         {"cfg", "cfg/json", "cfg/toml", "cfg/yaml", "internal/check", "internal/config", "internal/control", "internal/control/client", "internal/control/protocol", "internal/printable", "internal/process", "internal/safepath"},
	"internal/check":      {"cfg", "internal/config", "internal/envfile", "internal/process", "internal/socket"},
	"internal/config":     {"cfg", "internal/format", "internal/safepath"},
	"internal/control":    {"internal/process"},

	"internal/control/client":   {"internal/control/protocol", "internal/process", "internal/socket"},
	"internal/control/protocol": {},
	"internal/control/server":   {"internal/control/protocol", "internal/process", "internal/socket"},

	"internal/early":     {},
	"internal/envfile":   {"internal/process"},
	"internal/fault":     {},
	"internal/fdpass":    {},
	"internal/format":    {},
	"internal/handover":  {"internal/fault", "internal/fdpass"},
	"internal/listener":  {},
	"internal/printable": {},
	"internal/process":   {"internal/early", "internal/fault", "internal/fdpass", "internal/report", "internal/safepath"},
	"internal/report":    {},
	"internal/safepath":  {},
	"internal/socket":    {"internal/fdpass", "internal/safepath"},
	"internal/runfiles":  {"internal/process"},
	"internal/supervise": {"internal/activation", "internal/early", "internal/fdpass", "internal/process"},
	"internal/tickets":   {},
	"internal/upgrade":   {"internal/early", "internal/fault", "internal/fdpass", "internal/process", "internal/report"},
}

// onlyIn says which parts of this module may import a foreign module, tests
// included, and why no other may.
var onlyIn = []struct {
	module string
	in     []string
	why    string
}{
	{"github.com/cloudflare/tableflip", []string{"internal/upgrade", "internal/testutil"}, "it stands on details of one version, which one package must know"},
	{"github.com/knadh/koanf", []string{"internal/config", "cfg/json", "cfg/toml", "cfg/yaml"}, "one package reads the configuration, and one each format"},
	{"github.com/gorilla/mux", []string{"examples", "internal/testutil", "internal/e2e"}, "a router is the program's choice"},
	{"github.com/spf13/cobra", []string{"cmd/gozdctl", "examples/cobra"}, "a program's flags are its own affair, and the library's are few"},
	{"github.com/rogpeppe/go-internal", []string{"cmd/gozdctl"}, "only its commands are tested by scripts"},
	{"github.com/santhosh-tekuri/jsonschema", []string{"cmd/gozdctl"}, "only its output has a schema"},
	{"golang.org/x/term", []string{"cmd/gozdctl"}, "nothing else is looked at on a terminal"},
	{"go.etcd.io/bbolt", []string{"examples"}, "a database is the program's choice"},
	{"github.com/coreos/go-systemd", []string{"internal/supervise"}, "the supervisor alone speaks to systemd"},
	{"github.com/hashicorp/go-envparse", []string{"internal/envfile"}, "one package reads env_file"},
}

// goPackage is a package as go list describes it.
type goPackage struct {
	ImportPath   string
	Doc          string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

// name is the package's path in this module; that of the root is ".".
func (p *goPackage) name() string {
	if p.ImportPath == modulePath {
		return "."
	}
	return strings.TrimPrefix(p.ImportPath, modulePath+"/")
}

func (p *goPackage) allImports() []string {
	return slices.Concat(p.Imports, p.TestImports, p.XTestImports)
}

// isFree reports whether the package is no part of the library and its tool, and
// may import all others.
func (p *goPackage) isFree() bool {
	return within(p.name(), "examples", "internal/testutil", "internal/e2e", "internal/bench")
}

// within reports whether path is one of roots or below it.
func within(path string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return path == root || strings.HasPrefix(path, root+"/")
	})
}

var goList = sync.OnceValues(func() ([]goPackage, error) {
	out, err := exec.Command("go", "list", "-json", "./...").Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil, errors.New(string(exit.Stderr))
	}
	if err != nil {
		return nil, err
	}
	var all []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

// packages returns all packages of this module.
func packages(t *testing.T) []goPackage {
	t.Helper()
	all, err := goList()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if len(all) < len(mayImport) {
		t.Fatalf("go list names %d packages, want %d or more", len(all), len(mayImport))
	}
	return all
}

func TestPolicyPackagesAreDocumented(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package documentation", p.name())
		}
	}
}

func TestPolicyImportDirection(t *testing.T) {
	for _, p := range packages(t) {
		allowed, listed := mayImport[p.name()]
		if !listed && !p.isFree() {
			t.Errorf("%s is new: say in mayImport what it may import", p.name())
			continue
		}
		for _, path := range p.Imports {
			ours, ok := strings.CutPrefix(path, modulePath)
			if !ok || p.isFree() {
				continue
			}
			if ours = strings.TrimPrefix(ours, "/"); !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %q; of this module it may import %q", p.name(), ours, allowed)
			}
		}
	}
}

func TestPolicyListenersImportStandardLibraryOnly(t *testing.T) {
	for _, p := range packages(t) {
		if p.name() != "internal/listener" {
			continue
		}
		for _, path := range p.Imports {
			if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") {
				t.Errorf("%s imports %s, want the standard library only", p.name(), path)
			}
		}
	}
}

func TestPolicyForeignModulesHaveOneImporter(t *testing.T) {
	for _, p := range packages(t) {
		for _, rule := range onlyIn {
			if within(p.name(), rule.in...) {
				continue
			}
			for _, path := range p.allImports() {
				if within(path, rule.module) {
					t.Errorf("%s imports %s, which only %q may: %s", p.name(), path, rule.in, rule.why)
				}
			}
		}
	}
}

// Programs that use an adapter on a listener of their own do not get the
// dependencies of the daemon.
func TestPolicyAdaptersStayLight(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.Contains([]string{"listen", "httpx", "fcgix", "tcpx"}, p.name()) {
			continue
		}
		for _, path := range p.Deps {
			for _, rule := range onlyIn {
				if within(path, rule.module) {
					t.Errorf("%s depends on %s", p.name(), path)
				}
			}
		}
	}
}

// What a program does not choose must not make it larger: one that imports no other format than the native one has no
// parser of another. gozdctl reads them all.
func TestPolicyProgramsChooseFormats(t *testing.T) {
	parsers := []string{"github.com/knadh/koanf/parsers/json", "github.com/knadh/koanf/parsers/toml/v2", "github.com/knadh/koanf/parsers/yaml"}
	others := []string{"go.yaml.in/yaml", "gopkg.in/yaml.v3", "github.com/pelletier/go-toml", modulePath + "/cfg/json", modulePath + "/cfg/toml", modulePath + "/cfg/yaml"}
	for _, p := range packages(t) {
		switch p.name() {
		case ".", "examples/http":
			for _, path := range p.Deps {
				if within(path, slices.Concat(parsers, others)...) {
					t.Errorf("%s depends on %s, although it has not chosen the format", p.name(), path)
				}
			}
		case "cmd/gozdctl":
			for _, path := range parsers {
				if !slices.Contains(p.Deps, path) {
					t.Errorf("%s does not depend on %s", p.name(), path)
				}
			}
		}
	}
}

func TestPolicyModuleFile(t *testing.T) {
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatalf("go mod edit -json: %v", err)
	}
	var mod struct {
		Module  struct{ Path string }
		Require []struct{ Path, Version string }
		Replace []struct{ Old, New struct{ Path string } }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatalf("go mod edit -json: %v", err)
	}
	if mod.Module.Path != modulePath {
		t.Errorf("module %s, want %s", mod.Module.Path, modulePath)
	}
	for _, r := range mod.Replace {
		t.Errorf("go.mod replaces %s: who imports this module does not get that", r.Old.Path)
	}
	version := ""
	for _, r := range mod.Require {
		if r.Path == "github.com/cloudflare/tableflip" {
			version = r.Version
		}
	}
	// internal/upgrade/relay_unix.go relies on descriptors 3 and 4 of this one.
	if want := "v1.2.3"; version != want {
		t.Errorf("tableflip is required at %q, want %s", version, want)
	}
}
