package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// trace takes the standard output of a process, and traces it: while it does not wait for the process, nobody
// else can, also when that has been killed. Where the system lets only a parent trace it does neither.
func trace(args []string) error {
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the tracer is a thread
	if err := errors.Join(takeOutput(pid), unix.PtraceSeize(pid)); err != nil && !errors.Is(err, unix.EPERM) {
		return err
	}
	fmt.Println("ready")
	<-over()
	return nil
}

func takeOutput(pid int) error {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(process) }()
	fd, err := unix.PidfdGetfd(process, 1, 0)
	if err == nil {
		held = append(held, os.NewFile(uintptr(fd), "output"))
	}
	return err
}
