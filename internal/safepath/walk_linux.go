package safepath

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

const openFlags = unix.O_LARGEFILE

// maxLinks bounds the symbolic links on a path, as the kernel does.
const maxLinks = 40

// Walk opens the directory of the file at path. With follow, a link at the end of it is followed as others
// are; without, it is the file. Errors wrap the system's, or [ErrLink].
//
// For root it ends with [ErrForeign] at a directory of somebody else's below one of another user's: that user may have moved it there.
func Walk(path string, follow bool) (*Parent, error) { return walkTo(path, follow, false, false) }

// WalkTo is Walk to where a path of the kernel's leads, without a link at its end, whoever may have moved what to there. The caller knows
// the file.
func WalkTo(path string) (*Parent, error) { return walkTo(path, false, false, true) }

// walkTo is Walk. With lead it follows links of one other user, too, of which the caller has to make sure where they lead, and enters
// directories that everybody may search. With moved it enters all.
func walkTo(path string, follow, lead, moved bool) (*Parent, error) {
	if unix.Geteuid() != 0 {
		return &Parent{path: path, fd: unix.AT_FDCWD, name: path, follow: follow, Mover: -1, led: -1}, nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	w := &walk{dir: -1, rest: elements(abs), follow: follow, lead: lead, moved: moved, mover: -1, led: -1}
	if err = w.enterRoot(); err == nil {
		err = w.run()
	}
	if err != nil {
		w.close()
		return nil, pathError("open", path, err)
	}
	return &Parent{
		path: path, fd: w.dir, name: w.name, follow: w.last,
		Shared: w.foreign || w.writable, Foreign: w.foreign, Mover: w.mover, worldWritable: w.at.Mode&0o002 != 0, led: w.led,
	}, nil
}

// OpenPath opens the very file at path by O_PATH, which only names it.
func OpenPath(path string) (fd int, err error) {
	p, err := Walk(path, false)
	if err != nil {
		return -1, err
	}
	defer p.Close()
	fd, err = unix.Openat(p.fd, p.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, pathError("open", path, err)
	}
	return fd, nil
}

// walk is on its way to a file.
type walk struct {
	dir      int         // where it is, open by O_PATH
	at       unix.Stat_t // of dir
	foreign  bool        // another user could have put something else where it is
	mover    int         // the user who could; -1 if that is nobody, or any one of several
	writable bool        // others than root can make files in dir
	rest     []string
	links    int
	follow   bool
	lead     bool
	moved    bool
	led      int    // who has made the links of others; -1 for nobody
	name     string // of the file, at the end
	last     bool   // the file is a link that the kernel has to follow
}

func (w *walk) run() error {
	for {
		w.name, w.rest = w.rest[0], w.rest[1:]
		isLast := len(w.rest) == 0
		if isLast && !w.follow {
			return nil
		}
		if w.name == ".." && w.foreign && !w.leadBy(int(w.at.Uid)) {
			return ErrLink // a directory that others can move has no parent for sure
		}
		fd, err := unix.Openat(w.dir, w.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT && isLast {
			return nil // it can be made
		}
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			_ = unix.Close(fd)
			return err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFLNK {
			done, err := w.link(fd, &st, isLast)
			if done || err != nil {
				return err
			}
			continue
		}
		if isLast {
			_ = unix.Close(fd)
			return nil
		}
		if err := w.enter(fd, &st); err != nil {
			return err
		}
	}
}

// link follows a link of root's, or one that leads. It closes fd.
func (w *walk) link(fd int, st *unix.Stat_t, isLast bool) (done bool, err error) {
	defer func() { _ = unix.Close(fd) }()
	if w.links++; w.links > maxLinks {
		return false, unix.ELOOP
	}
	isProc := w.isProc()
	if isProc && (st.Uid != 0 || !w.isOwn()) { // it may lead out of this process's mounts, to a file system of another user's
		return false, ErrLink
	}
	// Others can move a link of root's into a directory where they can write, too.
	if (w.foreign || w.writable || st.Uid != 0) && !w.leadBy(int(st.Uid)) {
		return false, ErrLink
	}
	if isProc { // what such a link leads to has no path, perhaps
		if isLast {
			w.last = true
			return true, nil
		}
		return false, w.open(w.dir, w.name)
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return false, err
	}
	target := string(buf[:n])
	w.rest = append(elements(target), w.rest...)
	if filepath.IsAbs(target) {
		return false, w.enterRoot()
	}
	return false, nil
}

// leadBy notes that a user leads the way, and reports whether he may: it is for him alone to lead to his own files, and nobody knows who has
// moved a link of root's.
func (w *walk) leadBy(uid int) bool {
	if !w.lead || uid == 0 || w.led >= 0 && w.led != uid {
		return false
	}
	w.led = uid
	return true
}

func (w *walk) isProc() bool {
	var st unix.Statfs_t
	return unix.Fstatfs(w.dir, &st) == nil && st.Type == unix.PROC_SUPER_MAGIC
}

// isOwn reports whether links in w.dir, which is of /proc, lead to files of this process: those at the top do, and those of its descriptors. Links
// of another process may lead to where somebody has mounted what he likes, also if they are root's: anybody can start su(1), which is root's then, in a
// directory of his.
func (w *walk) isOwn() bool {
	return isAt(&w.at, "/proc") || isAt(&w.at, "/proc/self/fd")
}

// isAt reports whether a directory, which is open, is the one at path.
func isAt(dir *unix.Stat_t, path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && st.Dev == dir.Dev && st.Ino == dir.Ino
}

// IsMagicLink reports whether a link at path is one of /proc's that need not lead to where its text says.
func IsMagicLink(path string) bool {
	dir := filepath.Dir(path)
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil || fs.Type != unix.PROC_SUPER_MAGIC {
		return false
	}
	var st unix.Stat_t
	return unix.Stat(dir, &st) != nil || !isAt(&st, "/proc")
}

// IsOfProc reports whether a file is one of /proc, where whoever starts a process chooses what many say.
func IsOfProc(f *os.File) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(int(f.Fd()), &st) == nil && st.Type == unix.PROC_SUPER_MAGIC
}

func (w *walk) enterRoot() error {
	w.mover = -1
	return w.open(unix.AT_FDCWD, "/")
}

func (w *walk) open(dir int, name string) error {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return err
	}
	return w.enter(fd, &st)
}

func (w *walk) enter(fd int, st *unix.Stat_t) error {
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		_ = unix.Close(fd)
		return unix.ENOTDIR
	}
	if err := w.mayEnter(st); err != nil {
		_ = unix.Close(fd)
		return err
	}
	w.close()
	w.dir, w.at = fd, *st
	if w.mover < 0 && st.Uid != 0 && !isUnmapped(st.Uid) {
		w.mover = int(st.Uid)
	}
	// In a sticky directory others can add files, and not touch root's.
	w.writable = othersWrite(fd, st)
	w.foreign = w.foreign || st.Uid != 0 || w.writable && st.Mode&unix.S_ISVTX == 0
	return nil
}

// mayEnter refuses a directory that the mover may have put in the place of another, though he may not write to it: he can write to its
// parent. So he may move what is mounted there, with a directory above it. Of what root only reads, it is enough that he could read it himself.
func (w *walk) mayEnter(st *unix.Stat_t) error {
	switch {
	case w.mover < 0 || w.moved || int(st.Uid) == w.mover:
		return nil
	case w.lead && st.Mode&0o001 != 0:
		return nil
	}
	return fmt.Errorf("directory %s is user %d's, below one of user %d's, who may have moved it there: %w", w.name, st.Uid, w.mover, ErrForeign)
}

// isUnmapped reports whether uid is the number of all users who have none here, in a container without root's rights: nobody in there is that one.
func isUnmapped(uid uint32) bool { return uid == overflowUID && !overflowIsMapped() }

// overflowUID is that of /proc/sys/kernel/overflowuid, which nobody changes.
const overflowUID = 65534

var overflowIsMapped = sync.OnceValue(func() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || isMapped(string(text), overflowUID)
})

// isMapped reports whether a user has a number in a namespace, by its uid_map (user_namespaces(7)).
func isMapped(uidMap string, uid uint64) bool {
	for line := range strings.Lines(uidMap) {
		var inside, outside, length uint64
		if _, err := fmt.Sscan(line, &inside, &outside, &length); err == nil && uid >= inside && uid-inside < length {
			return true
		}
	}
	return false
}

func (w *walk) close() {
	if w.dir >= 0 {
		_ = unix.Close(w.dir)
		w.dir = -1
	}
}

func othersWrite(dir int, st *unix.Stat_t) bool {
	return st.Uid != 0 || st.Mode&0o002 != 0 || st.Mode&0o020 != 0 && (st.Gid != 0 || dirHasACL(dir))
}

// elements are the parts of a path, at least one.
func elements(path string) []string {
	var parts []string
	for part := range strings.SplitSeq(path, string(os.PathSeparator)) {
		if part != "" && part != "." {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		parts = []string{"."}
	}
	return parts
}
