package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"golang.org/x/sys/unix"
)

// notify speaks to a notify socket as a service does to systemd.
func notify(args []string) error {
	flags := newFlags("notify")
	flood := flags.Bool("flood", false, "say it again and again")
	with := flags.String("with", "", "what goes along: `kind` files or linger")
	_ = flags.Parse(args)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	to := &unix.SockaddrUnix{Name: flags.Arg(0)}
	send := func() error { return sendNotify(fd, to, flags.Arg(1), *with) }
	if err := send(); err != nil {
		return err
	}
	fmt.Println("ready")
	if *flood {
		repeat(func() { _ = send() })
		return nil
	}
	<-over()
	return nil
}

func sendNotify(fd int, to unix.Sockaddr, text, with string) error {
	err := sendWith(fd, to, text, with, unix.MSG_DONTWAIT)
	if errors.Is(err, unix.EAGAIN) {
		return nil // it is full
	}
	return err
}

// connect speaks to a Unix socket that others may connect to, with a descriptor, again and again.
func connect(args []string) error {
	flags := newFlags("connect")
	with := flags.String("with", "linger", "what goes along: `kind` files or linger")
	_ = flags.Parse(args)
	for range 4 {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: flags.Arg(0)}); err != nil {
			return err
		}
		fmt.Println("sent:", sendWith(fd, nil, flags.Arg(1), *with, unix.MSG_NOSIGNAL))
	}
	fmt.Println("ready")
	<-over()
	return nil
}

// sendWith sends a message with descriptors of a kind, of which the receiver has the last ones.
func sendWith(fd int, to unix.Sockaddr, text, with string, flags int) error {
	files, err := companions(with)
	if err != nil {
		return err
	}
	var oob []byte
	if len(files) > 0 {
		oob = unix.UnixRights(files...)
	}
	err = unix.Sendmsg(fd, []byte(text), oob, to, flags)
	go func() { // or this process could be the one that waits
		for _, f := range files {
			_ = unix.Close(f)
		}
	}()
	return err
}

// companions makes descriptors to send. Each is new, so that the receiver's is the last.
func companions(kind string) ([]int, error) {
	switch kind {
	case "files":
		return pipes(250)
	case "linger":
		fd, err := lingering()
		return []int{fd}, err
	}
	return nil, nil
}

// pipes opens n descriptors.
func pipes(n int) ([]int, error) {
	var fds []int
	for range n / 2 {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			return fds, err
		}
		fds = append(fds, p[0], p[1])
	}
	return fds, nil
}

// lingering makes a TCP connection whose close waits for an hour: there are data that the other
// side does not read.
func lingering() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return -1, err
	}
	port := ln.Addr().(*net.TCPAddr).Port
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return -1, err
	}
	hour := &unix.Linger{Onoff: 1, Linger: 3600}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, hour); err != nil {
		return -1, err
	}
	data := []byte(strings.Repeat("x", 1<<20))
	for err == nil {
		_, err = unix.SendmsgN(fd, data, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	}
	held = append(held, ln) // nobody accepts, and nobody reads
	return fd, nil
}

// held is what must not be collected.
var held []io.Closer
