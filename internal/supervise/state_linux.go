package supervise

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
)

// The marks in the environment. Each is removed as soon as it has been seen.
const (
	stateEnv   = early.StateEnv    // this process is the supervisor, and how far it is
	channelEnv = "GOZD_SUPERVISED" // this process is generation 1, and which descriptor is the channel
)

// state is what survives when the supervisor runs a binary in its own place.
type state struct {
	Version int    `json:"version"`
	Line    line   `json:"line"`
	Binary  string `json:"binary"` // absolute
	Verbose bool   `json:"verbose"`

	Channel  int      `json:"channel"`            // descriptor of the supervisor's end
	Notify   int      `json:"notify,omitempty"`   // descriptor of the generations' NOTIFY_SOCKET; 0 without systemd
	First    *job     `json:"first,omitempty"`    // generation 1, as long as it has not been started
	Kept     []int    `json:"kept,omitempty"`     // signals that could not be passed on yet
	Asked    int      `json:"asked,omitempty"`    // the signal by which the daemon was asked to end
	Announce bool     `json:"announce,omitempty"` // systemd waits to be told that an upgrade is over
	Status   *uint32  `json:"status,omitempty"`   // of the serving generation that ended last
	Stored   []Stored `json:"stored,omitempty"`   // what systemd keeps for the daemon
}

// job is what generation 1 is started with, besides the supervisor's own arguments and standard streams.
type job struct {
	Dir   string   `json:"dir"`
	Env   []string `json:"env"`
	Files []int    `json:"files"` // from descriptor 3 on
}

// IsSupervisor reports whether this process has been started to be the supervisor.
func IsSupervisor() bool { return os.Getenv(stateEnv) != "" }

// takeState reads and removes the mark.
func takeState() (*state, error) {
	text := os.Getenv(stateEnv)
	_ = os.Unsetenv(stateEnv)
	s := new(state)
	if err := json.Unmarshal([]byte(text), s); err != nil {
		return nil, fmt.Errorf("supervise: state: %w", err)
	}
	if s.Version != protocolVersion {
		return nil, fmt.Errorf("supervise: state of version %d, this binary has %d", s.Version, protocolVersion)
	}
	if !isSocket(s.Channel) {
		return nil, fmt.Errorf("supervise: descriptor %d is not the channel: another daemon has passed on its environment", s.Channel)
	}
	return s, nil
}

// descriptors are those that go on to the next image.
func (s *state) descriptors() []int {
	fds := []int{s.Channel}
	if s.Notify > 0 {
		fds = append(fds, s.Notify)
	}
	if s.First != nil {
		fds = append(fds, s.First.Files...)
	}
	return fds
}

// inherit has the descriptors go to a program that runs in this process's place, or to none.
func (s *state) inherit(on bool) error {
	flags := unix.FD_CLOEXEC
	if on {
		flags = 0
	}
	for _, fd := range s.descriptors() {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags); err != nil {
			return fmt.Errorf("supervise: descriptor %d: %w", fd, os.NewSyscallError("fcntl", err))
		}
	}
	return nil
}

// environ is the environment with the state in it.
func (s *state) environ() ([]string, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("supervise: state: %w", err)
	}
	return append(without(os.Environ(), stateEnv), stateEnv+"="+string(data)), nil
}

// without returns an environment that lacks the variables of these names.
func without(env []string, names ...string) []string {
	var rest []string
next:
	for _, v := range env {
		for _, name := range names {
			if strings.HasPrefix(v, name+"=") {
				continue next
			}
		}
		rest = append(rest, v)
	}
	return rest
}

func isSocket(fd int) bool {
	var st unix.Stat_t
	return fd > 2 && unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK
}
