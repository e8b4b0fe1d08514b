package activation

import (
	"fmt"
	"strconv"
	"strings"
)

// What systemd announces sockets by (sd_listen_fds(3)).
const (
	listenPID   = "LISTEN_PID"
	listenFDs   = "LISTEN_FDS"
	listenNames = "LISTEN_FDNAMES"
)

const (
	firstDescriptor = 3
	maxSockets      = 1 << 16
)

// announced returns the first descriptor, and the names of that one and of those that follow it.
func announced(getenv func(string) string, pid int) (first int, names []string, err error) {
	if text := getenv(mark); text != "" {
		number, list, ok := strings.Cut(text, ":")
		fd, err := strconv.ParseInt(number, 10, 31)
		if !ok || err != nil || fd < firstDescriptor {
			return 0, nil, fmt.Errorf("%s is %q, which names no sockets", mark, text)
		}
		return int(fd), strings.Split(list, ":"), nil
	}
	text := getenv(listenFDs)
	if getenv(listenPID) != strconv.Itoa(pid) || text == "" {
		return 0, nil, nil // they are another's
	}
	count, err := strconv.Atoi(text)
	if err != nil || count < 0 || count > maxSockets {
		return 0, nil, fmt.Errorf("%s is %q, which is no number of sockets", listenFDs, text)
	}
	given := strings.Split(getenv(listenNames), ":")
	for i := range count {
		name := fmt.Sprintf("LISTEN_FD_%d", firstDescriptor+i)
		if i < len(given) && given[i] != "" {
			name = given[i]
		}
		names = append(names, name)
	}
	return firstDescriptor, names, nil
}
