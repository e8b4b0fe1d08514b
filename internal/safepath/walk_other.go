//go:build unix && !linux

package safepath

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

const openFlags = 0

// HasACL reports false: how the systems show such a list differs.
func HasACL(string) bool { return false }

// Walk leaves the walking to the kernel. For root no link at the end is followed where others can write.
func Walk(path string, follow bool) (*Parent, error) { return walkTo(path, follow, false, false) }

func walkTo(path string, follow, _, _ bool) (*Parent, error) {
	p := &Parent{path: path, fd: unix.AT_FDCWD, name: path, follow: follow, Mover: -1, led: -1}
	if unix.Geteuid() != 0 {
		return p, nil
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Dir(path), &st); err != nil {
		return nil, pathError("open", path, err)
	}
	p.Shared = st.Uid != 0 || st.Mode&0o002 != 0 || st.Mode&0o020 != 0 && st.Gid != 0
	p.follow, p.worldWritable = follow && !p.Shared, st.Mode&0o002 != 0
	if st.Uid != 0 {
		p.Mover = int(st.Uid)
	}
	return p, nil
}
