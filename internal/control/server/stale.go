package server

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
)

// What RemoveStale does at most, whatever others make beside the PID file: the daemon is about to serve meanwhile, or to end.
const (
	maxStale  = 64                     // sockets of processes that are gone: each was killed
	staleTime = 250 * time.Millisecond // for finding out that nobody answers on them
)

// RemoveStale removes the control sockets beside a PID file whose processes are gone: they
// were killed. It is a matter of tidiness, and so errors are nobody's concern. killed, of which one may be 0, are known to be gone: their
// sockets are removed first, by their names. Of the others it finds those among the first names of the directory.
func RemoveStale(pidfile string, killed ...int) {
	ctx, cancel := context.WithTimeout(context.Background(), staleTime)
	defer cancel()
	for _, pid := range killed {
		if pid > 0 && isGone(pid) {
			removeUnanswered(ctx, protocol.SocketPath(pidfile, pid))
		}
	}
	for _, pid := range stale(pidfile) {
		removeUnanswered(ctx, protocol.SocketPath(pidfile, pid))
	}
}

// stale returns processes that are gone, by the names of their control sockets.
func stale(pidfile string) (pids []int) {
	entries, err := safepath.ReadDir(filepath.Dir(pidfile))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, ok := pidOf(e.Name(), filepath.Base(pidfile))
		if ok && isGone(pid) {
			pids = append(pids, pid)
		}
		if len(pids) == maxStale {
			break
		}
	}
	return pids
}

// pidOf returns the process whose control socket a file is, by its name.
func pidOf(name, pidfile string) (pid int, ok bool) {
	name, isOurs := strings.CutPrefix(name, pidfile+".")
	name, isSocket := strings.CutSuffix(name, ".sock")
	pid, err := strconv.Atoi(name)
	return pid, isOurs && isSocket && err == nil && pid > 0 && strconv.Itoa(pid) == name
}

func isGone(pid int) bool {
	p, err := process.Open(pid, 0)
	if err == nil {
		p.Close()
	}
	return errors.Is(err, os.ErrProcessDone)
}

// removeUnanswered removes a socket that nobody listens on: the process may live where
// this one cannot see it, in another PID namespace. One that may not even be asked is of the user that
// the daemon had before its configuration named another.
func removeUnanswered(ctx context.Context, path string) {
	c, err := socket.Dial(ctx, path)
	if err == nil {
		socket.Leave(c)
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrPermission) {
		_ = socket.Remove(path)
	}
}
