//go:build linux

package tools

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

var grace = Tool{
	Name: "grace", Kinds: All,
	How: "As in its demo, with two servers. USR2; the new process tells the old one to end.",
	start: func(ctx context.Context, e *Env, d *Daemon) error {
		binary, err := e.buildApart(ctx, "grace", nil)
		d.Version = "v0.0.0-20180706040059-75cf19382434"
		if errors.Is(err, ErrMissing) {
			var debian error
			if binary, d.Version, debian = e.debianGrace(ctx); debian != nil {
				err = errors.Join(err, debian)
			} else {
				err = nil
			}
		}
		if err != nil {
			return err
		}
		return startSignalled(e, d, binary, syscall.SIGUSR2)
	},
}

const (
	debianSource  = "/usr/share/gocode/src/"
	debianPackage = "golang-github-facebookgo-grace-dev"
)

// debianGrace builds with the source that Debian has, for where there is no module.
// It has no go.mod, and gets one in a copy.
func (e *Env) debianGrace(ctx context.Context) (binary, version string, err error) {
	if _, err := os.Stat(debianSource + "github.com/facebookgo/grace"); err != nil {
		return "", "", fmt.Errorf("%w: nor is Debian's package %s", ErrMissing, debianPackage)
	}
	replace := make(map[string]string)
	for _, name := range []string{"grace", "httpdown", "clock", "stats"} {
		module := "github.com/facebookgo/" + name
		dir := filepath.Join(e.dir, "debian", name)
		if err := os.CopyFS(dir, os.DirFS(debianSource+module)); err != nil && !errors.Is(err, os.ErrExist) {
			return "", "", err
		}
		if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(debianMod(name)), 0o600); err != nil {
			return "", "", err
		}
		replace[module] = dir
	}
	out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Version}", debianPackage).Output()
	if err != nil {
		return "", "", fmt.Errorf("version of %s: %w", debianPackage, err)
	}
	binary, err = e.buildApart(ctx, "grace", replace)
	return binary, "Debian's " + strings.TrimSpace(string(out)), err
}

func debianMod(name string) string {
	const path = "github.com/facebookgo/"
	lines := []string{"module " + path + name, "go 1.16"}
	for _, needed := range map[string][]string{"grace": {"httpdown"}, "httpdown": {"clock", "stats"}}[name] {
		lines = append(lines, "require "+path+needed+" v0.0.0")
	}
	return strings.Join(lines, "\n") + "\n"
}
