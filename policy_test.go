package gozd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
		"internal/config", "listen", "httpx", "fcgix", "tcpx", "internal/command", "internal/engine", "internal/exposition", "internal/process", "internal/upgrade",
	},
	"internal/command": {
		"internal/config", "internal/engine", "internal/groups",
		"internal/activation", "internal/check", "internal/control", "internal/control/client", "internal/early", "internal/logging", "internal/printable", "internal/process", "internal/report", "internal/supervise", "internal/upgrade",
	},
	"internal/engine": {
		"internal/config", "internal/groups", "internal/listener",
		"internal/check", "internal/control/client", "internal/control/protocol", "internal/control/server", "internal/early", "internal/envfile", "internal/exposition", "internal/fault", "internal/handover", "internal/host", "internal/logging", "internal/peers", "internal/process", "internal/report", "internal/runfiles", "internal/socket", "internal/supervise", "internal/tickets", "internal/totals", "internal/upgrade",
	},
	"internal/host":       {"internal/check", "internal/config", "internal/process"},
	"internal/peers":      {"internal/process"},
	"internal/groups":     {"internal/activation", "internal/check", "internal/config", "internal/handover", "internal/listener", "internal/packet", "internal/safepath", "internal/socket", "internal/supervise", "internal/tickets", "internal/tlswatch", "internal/totals", "internal/upgrade"},
	"internal/logging":    {"internal/config", "internal/printable"},
	"cfg":                 {},
	"cfg/json":            {"internal/format"},
	"cfg/toml":            {"internal/format"},
	"cfg/yaml":            {"internal/format"},
	"internal/activation": {"internal/fdpass", "internal/socket"},
	"listen":              {"internal/listener", "internal/packet"},
	"httpx":               {"internal/h2move", "internal/listener", "internal/tlsrec", "internal/tlswatch", "listen"},
	"fcgix":               {"internal/listener"},
	"tcpx":                {"internal/listener", "listen"},
	"wsx":                 {"httpx", "internal/listener", "listen", "tcpx"},
	"cmd/gozdctl":         {"cfg", "cfg/json", "cfg/toml", "cfg/yaml", "internal/check", "internal/config", "internal/control", "internal/control/client", "internal/control/protocol", "internal/printable", "internal/process", "internal/safepath"},
	"internal/check":      {"cfg", "internal/config", "internal/envfile", "internal/process", "internal/safepath", "internal/socket"},
	"internal/config":     {"cfg", "internal/format", "internal/safepath"},
	"internal/control":    {"internal/process", "internal/safepath"},

	"internal/control/client":   {"internal/control", "internal/control/protocol", "internal/process", "internal/socket"},
	"internal/control/protocol": {},
	"internal/control/server":   {"internal/exposition", "internal/control/protocol", "internal/process", "internal/safepath", "internal/socket"},

	"internal/early":      {},
	"internal/envfile":    {"internal/process"},
	"internal/fault":      {},
	"internal/fdpass":     {},
	"internal/format":     {},
	"internal/h2move":     {},
	"internal/handover":   {"internal/fault", "internal/fdpass"},
	"internal/listener":   {},
	"internal/packet":     {"internal/fdpass", "internal/listener", "internal/socket"},
	"internal/allowance":  {},
	"internal/printable":  {},
	"internal/process":    {"internal/early", "internal/fault", "internal/fdpass", "internal/report", "internal/safepath"},
	"internal/report":     {},
	"internal/safepath":   {},
	"internal/socket":     {"internal/fdpass", "internal/safepath"},
	"internal/runfiles":   {"internal/process"},
	"internal/supervise":  {"internal/activation", "internal/allowance", "internal/early", "internal/fdpass", "internal/printable", "internal/process", "internal/safepath"},
	"internal/tickets":    {},
	"internal/totals":     {"internal/exposition", "internal/listener"},
	"internal/exposition": {},
	"internal/tlsrec":     {},
	"internal/tlswatch":   {"internal/tlsrec"},
	"internal/upgrade":    {"internal/allowance", "internal/early", "internal/fault", "internal/fdpass", "internal/process", "internal/report", "internal/socket"},
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
	{"golang.org/x/crypto", []string{"internal/tlsrec"}, "one package has keys; the standard library has no ChaCha20-Poly1305 to call"},
}

// goPackage is a package as go list describes it.
type goPackage struct {
	ImportPath   string
	Dir          string
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
				isCipher := p.name() == "httpx" && rule.module == "golang.org/x/crypto" // of connections that move with their keys
				if within(path, rule.module) && !isCipher {
					t.Errorf("%s depends on %s", p.name(), path)
				}
			}
		}
	}
}

// What a program does not choose must not make it larger: one that imports no other format than the native one has no
// parser of another. gozdctl reads them all.
func TestPolicyProgramsChooseFormats(t *testing.T) {
	parsers := []string{"github.com/knadh/koanf/parsers/json", "github.com/knadh/koanf/parsers/toml/v2", "go.yaml.in/yaml/v3"}
	others := []string{"gopkg.in/yaml.v3", "github.com/pelletier/go-toml", modulePath + "/cfg/json", modulePath + "/cfg/toml", modulePath + "/cfg/yaml"}
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

// looks are the functions that take a path as the kernel walks it. Whoever owns a directory on the way could lead root to any file, and to
// a file system of his own that never answers: so only package safepath uses them on paths that others name or could exchange.
var looks = regexp.MustCompile(`\b(os\.(Chdir|Chmod|Chown|Chtimes|Create|CreateTemp|Lchown|Link|Lstat|Mkdir|MkdirAll|MkdirTemp|Open|OpenFile|ReadDir|ReadFile|Readlink|` +
	`Remove|RemoveAll|Rename|Stat|Symlink|Truncate|WriteFile)|filepath\.(EvalSymlinks|Glob|Walk|WalkDir)|` +
	`unix\.(Access|Chmod|Chown|Faccessat|Lstat|Mkdir|Open|Openat2|Rename|Stat|Unlink))\(`)

// mayLook says which files use them all the same, and why that is no harm.
var mayLook = map[string]string{
	"cmd/gozdctl/list.go":                  "the runtime directory, and those below it that are no links",
	"cmd/gozdctl/man.go":                   "pages for who makes a package",
	"cmd/gozdctl/openas_linux.go":          "with that user's rights, in a thread that nobody waits for",
	"internal/engine/start.go":             "the binary that this process runs",
	"internal/engine/status.go":            "the same",
	"internal/fault/on.go":                 "in tests only",
	"internal/host/host.go":                "the working directory, by a relative path",
	"internal/process/children_linux.go":   "/proc",
	"internal/process/give_unix.go":        "with that user's rights",
	"internal/process/holds_linux.go":      "/proc, and no file system is asked for what is there",
	"internal/process/logfile_unix.go":     "of an ordinary user",
	"internal/process/namespaces_linux.go": "/proc",
	"internal/process/nolinux.go":          "not on Linux",
	"internal/process/other.go":            "not on Unix",
	"internal/process/reserve.go":          "/dev/null",
	"internal/process/session_unix.go":     "/proc, /dev/fd",
	"internal/process/signalroom_linux.go": "/proc",
	"internal/process/starttime_linux.go":  "/proc",
	"internal/process/record.go":           "where no directory or link on the way is another user's",
	"internal/process/threads_linux.go":    "/proc",
	"internal/process/trust_unix.go":       "as far as directories are root's alone",
	"internal/process/user_linux.go":       "/proc",
	"internal/safepath":                    "it is what walks",
	"internal/socket/access_bsd.go":        "not on Linux",
	"internal/socket/access_linux.go":      "/proc/self/fd",
	"internal/socket/dial_other.go":        "not on Linux",
	"internal/socket/unix_other.go":        "not on Unix",
	"internal/supervise/admit_linux.go":    "/proc",
	"internal/supervise/notify_linux.go":   "in a directory that it has made, or looked at",
	"internal/supervise/orphan_linux.go":   "/proc",
	"internal/supervise/start_linux.go":    "/proc/self/fd",
	"internal/supervise/streams_linux.go":  "/dev/null",
	"internal/supervise/terminal_linux.go": "/dev/tty",
	"internal/upgrade/binary.go":           "the binary, once it could not be started",
}

func TestPolicyRootLooksByWalking(t *testing.T) {
	used := make(map[string]bool)
	for _, p := range packages(t) {
		if p.isFree() {
			continue
		}
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			if name := where(p.name(), path, looks); name != "" {
				used[name] = true
			}
		}
	}
	for name := range used {
		if mayLook[name] == "" {
			t.Errorf("%s looks at paths: use package safepath, or say in mayLook why this is no harm", name)
		}
	}
	for name := range mayLook {
		if !used[name] {
			t.Errorf("%s is in mayLook, and looks nowhere", name)
		}
	}
}

// where is the name in mayLook of a file that is no test and has what is looked for; "" of another.
func where(pkg, path string, what *regexp.Regexp) string {
	text, err := os.ReadFile(path)
	if err != nil || strings.HasSuffix(path, "_test.go") || !what.Match(text) {
		return ""
	}
	if mayLook[pkg] != "" {
		return pkg
	}
	return pkg + "/" + filepath.Base(path)
}
