package main

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// trace finds out that it can neither take the standard output of a process nor trace it.
func trace(args []string) error {
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the tracer is a thread
	if err := takeOutput(pid); !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("its output can be taken: %w", err)
	}
	if err := unix.PtraceSeize(pid); !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("it can be traced: %w", err)
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
		_ = unix.Close(fd)
	}
	return err
}
