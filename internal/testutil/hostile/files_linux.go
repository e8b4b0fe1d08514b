package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// pause leaves the machine to others. It is shorter than what root does between a look and a use.
const pause = 50 * time.Microsecond

// swap exchanges two names, so that a path means one thing when it is looked at and another when
// it is used.
func swap(args []string) error {
	exchange := func() error {
		return unix.Renameat2(unix.AT_FDCWD, args[0], unix.AT_FDCWD, args[1], unix.RENAME_EXCHANGE)
	}
	if err := exchange(); err != nil {
		return fmt.Errorf("renameat2: %w", err)
	}
	fmt.Println("ready")
	repeat(func() {
		_ = exchange()
		time.Sleep(pause)
	})
	return nil
}

// plant puts a link to target at path, in the place of whatever appears there.
func plant(args []string) error {
	target, path := args[0], args[1]
	link := path + ".planted"
	fmt.Println("ready")
	repeat(func() {
		if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSymlink == 0 {
			_ = os.Symlink(target, link)
			_ = os.Rename(link, path)
		}
		time.Sleep(pause)
	})
	return nil
}

// limit lowers what a process of the same user may open.
func limit(args []string) error {
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}, nil); err != nil {
		return fmt.Errorf("prlimit: %w", err)
	}
	fmt.Println("ready")
	return nil
}

// hold tries to lock a file, as who wants to keep a daemon from starting.
func hold(args []string) error {
	f, err := os.OpenFile(args[0], os.O_RDONLY, 0)
	if err != nil {
		f, err = os.OpenFile(args[0], os.O_WRONLY, 0)
	}
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("flock: %w", err)
	}
	fmt.Println("ready")
	<-over()
	return nil
}
