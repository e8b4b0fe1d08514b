package process

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// MakeRuntimeDir makes the directory of a PID file if only that one is missing:
// such is the default's, in the temporary directory. Whoever names a directory
// further away has misspelt it.
//
// Outside the superuser's hands the directory must belong to this user or to
// root. In a temporary directory its name can be guessed, and who made it could
// put files of his own in the place of ours.
func MakeRuntimeDir(pidfile string) error {
	dir := filepath.Dir(pidfile)
	mode := fs.FileMode(0o755)
	if os.Geteuid() != 0 {
		mode = 0o700
	}
	if err := (*Identity)(nil).MakeDir(dir, mode); err != nil {
		return fmt.Errorf("PID file %s: %w", pidfile, err)
	}
	info, err := safepath.Stat(dir)
	if err != nil {
		return fmt.Errorf("PID file %s: %w", pidfile, err)
	}
	if uid, ok := owner(info); ok && os.Geteuid() != 0 && uid != 0 && uid != os.Geteuid() {
		return fmt.Errorf("PID file %s: directory %s belongs to user %d: %w", pidfile, dir, uid, fs.ErrPermission)
	}
	return nil
}
