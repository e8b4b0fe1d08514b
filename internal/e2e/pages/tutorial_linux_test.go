package pages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/sysd"
)

// A reader who types what the tutorial says gets to its end, and sees what it says.
func TestTutorial(t *testing.T) {
	const page = "docs/tutorial.md"
	s := newSession(t)
	clone, err := filepath.Abs(root)
	must(t, err)
	bin := filepath.Join(s.dir, "bin")
	s.replace([]string{
		"go get", "go mod edit -replace " + modulePath + "=" + clone + " && go get",
		"~/gozd", clone, "~/go/bin", bin,
	}, "/home/you", ":8080")
	// What is required is in the module cache, since this test has been compiled.
	s.env = append(s.env, "GOBIN="+bin, "PATH="+bin+":"+os.Getenv("PATH"), "GOPROXY=off", "GOSUMDB=off")
	all := blocks(t, page)
	for i, b := range all {
		if b.info == "console systemd" {
			t.Run("systemd", func(t *testing.T) { s.underSystemd(t, all[i:]) })
			return
		}
		s.do(b)
	}
}

// underSystemd goes on with a systemd for commands behind the prompt of root.
func (s *session) underSystemd(t *testing.T, all []block) {
	t.Helper()
	clone, err := filepath.Abs(root)
	must(t, err)
	machine := sysd.Boot(t, sysd.Host, s.dir, clone)
	s.t = t
	for _, b := range all {
		s.do(b)
		if b.info != "console systemd" {
			continue
		}
		for _, c := range b.commands("# ") {
			// Its status is not what is looked at, but what it prints.
			got, _ := machine.Exec("sh", "-c", "cd "+s.work()+" && "+s.typed.Replace(c.text))
			s.compare(b.page, c, strings.TrimPrefix(got, "\n"))
		}
	}
}
