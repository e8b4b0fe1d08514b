package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// maxTaken is the highest descriptor of another process that is looked at.
const maxTaken = 64

// speak says messages on the channel between generations and supervisor. They come with their bytes escaped as
// in a URL; {pid} and {start} in them stand for this process, and {64k} for much.
func speak(args []string) error {
	flags := newFlags("speak")
	from := flags.Int("from", 0, "take the channel of this process, instead of descriptor 3")
	flood := flags.Bool("flood", false, "say it again and again")
	with := flags.String("with", "", "what goes along: `kind` files or linger")
	_ = flags.Parse(args)
	channel, err := channelOf(*from)
	if err != nil {
		return err
	}
	messages, err := fillIn(flags.Args())
	if err != nil {
		return err
	}
	for _, m := range messages {
		fmt.Println("said:", sendWith(channel, nil, string(m), *with, unix.MSG_NOSIGNAL))
	}
	fmt.Println("ready")
	if !*flood {
		<-over()
		return nil
	}
	repeat(func() {
		for _, m := range messages {
			_ = unix.Sendmsg(channel, m, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		}
	})
	return nil
}

func fillIn(messages []string) ([][]byte, error) {
	start, err := process.StartTime(os.Getpid())
	if err != nil {
		return nil, err
	}
	here := strings.NewReplacer("{pid}", strconv.Itoa(os.Getpid()), "{start}", strconv.FormatUint(start, 10), "{64k}", strings.Repeat("\xff", 64<<10))
	filled := make([][]byte, len(messages))
	for i, m := range messages {
		text, err := url.PathUnescape(m)
		if err != nil {
			return nil, err
		}
		filled[i] = []byte(here.Replace(text))
	}
	return filled, nil
}

// channelOf takes the first socket of another process that keeps messages apart and has an end.
func channelOf(pid int) (int, error) {
	if pid == 0 {
		return 3, nil
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1, fmt.Errorf("pidfd_open: %w", err)
	}
	var last error
	for n := range maxTaken {
		fd, err := unix.PidfdGetfd(pidfd, n, 0)
		if err != nil {
			if !errors.Is(err, unix.EBADF) {
				last = err
			}
			continue
		}
		if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err == nil && kind == unix.SOCK_SEQPACKET {
			return fd, nil
		}
		_ = unix.Close(fd)
	}
	return -1, fmt.Errorf("process %d has no channel to take: %w", pid, last)
}
