package trust

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// channelOf takes a generation's end of the supervisor's channel, as root, for an attacker to
// have: what a process of its user's cannot take, its own code can give.
func channelOf(t *testing.T, pid int) *os.File {
	t.Helper()
	pidfd, err := unix.PidfdOpen(pid, 0)
	must(t, err)
	defer func() { _ = unix.Close(pidfd) }()
	for n := range 256 {
		fd, err := unix.PidfdGetfd(pidfd, n, 0)
		if err != nil {
			continue
		}
		f := os.NewFile(uintptr(fd), "channel")
		if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err == nil && kind == unix.SOCK_SEQPACKET {
			t.Cleanup(func() { _ = f.Close() })
			return f
		}
		_ = f.Close()
	}
	t.Fatalf("process %d has no channel", pid)
	return nil
}

// hostileMessages are what the service's user may say on the channel to do harm. PID and START are a process of root's.
func hostileMessages(pid int, start uint64) map[string][]string {
	event := func(format string, args ...any) string { return `{"v":1,` + fmt.Sprintf(format, args...) + "}" }
	return map[string][]string{
		"serving": {
			event(`"kind":"starting","generation":98,"start_time":{start}`),
			event(`"kind":"serving","generation":99,"start_time":{start}`),
		},
		"a foreign process": {
			event(`"kind":"upgrading","generation":2,"pid":%d,"start_time":%d,"successor":%[1]d`, pid, start),
			event(`"kind":"serving","generation":99,"pid":%d,"start_time":%d`, pid, start),
			event(`"kind":"serving","generation":99,"PID":%d,"start_time":%d`, pid, start),
		},
		"garbage": {
			"", "{", "\x00", "{64k}", `{"v":-1}`, `{"v":1e400}`, `[]`, `null`, `"\ud800"`,
			event(`"kind":"serving","generation":-9223372036854775808,"start_time":18446744073709551615`),
			event(`"kind":"upgrading","within_ns":9223372036854775807`), event(`"kind":"stopping","within_ns":-9223372036854775808`),
			event(`"kind":"failed","text":"x\nMAINPID=%d\nREADY=1\u001b[2J"`, pid),
			event(`"kind":"keeping","names":["x\nMAINPID=%d"]`, pid), event(`"kind":"hurry","signal":9`),
		},
	}
}

// escaped is what an argument can hold.
func escaped(messages []string) []string {
	args := make([]string, len(messages))
	for i, m := range messages {
		args[i] = url.PathEscape(m)
	}
	return args
}

// TestChannelStolen has a process of the service's user speak on the channel that it has taken from a generation.
func TestChannelStolen(t *testing.T) {
	t.Parallel()
	for name, flood := range map[string]bool{"serving": false, "a foreign process": false, "garbage": false, "serving, a flood": true, "garbage, a flood": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, asNobody, onlyWeb)
			s.start(t)
			s.upgrade(t)
			pid, unharmed := victim(t)
			start, err := process.StartTime(pid)
			must(t, err)
			kind, _, _ := strings.Cut(name, ", a flood")
			args := append([]string{"speak", fmt.Sprintf("-flood=%t", flood)}, escaped(hostileMessages(pid, start)[kind])...)
			begin(t, nobody, []*os.File{channelOf(t, s.state().PID)}, args...)
			s.wantSame(t)
			if flood { // its own service may suffer: nobody hears that it upgrades
				must(t, s.front.Process.Signal(syscall.SIGHUP))
			} else {
				s.wantUnharmed(t)
			}
			s.wantTERM(t)
			unharmed()
		})
	}
}

// TestChannelTaken has a process of the service's user take the channel by itself, where the kernel lets it.
func TestChannelTaken(t *testing.T) {
	t.Parallel()
	s := newService(t, asNobody, onlyWeb)
	s.start(t)
	for range 2 {
		_, said := attack(t, nobody, nil, append([]string{"speak", "-from", fmt.Sprint(s.state().PID)}, escaped(hostileMessages(1, 1)["serving"])...)...)
		t.Logf("generation %d: %s", s.generation(), strings.TrimSpace(said))
		s.wantUnharmed(t)
		s.upgrade(t)
	}
	s.wantTERM(t)
}

// TestChannelStrangers has a third user look for the channel.
func TestChannelStrangers(t *testing.T) {
	t.Parallel()
	s := newService(t, asNobody, onlyWeb)
	s.start(t)
	s.upgrade(t)
	for _, pid := range []int{s.front.Process.Pid, s.state().PID} {
		if _, said := attack(t, stranger, nil, "speak", "-from", fmt.Sprint(pid), "x"); !strings.Contains(said, "operation not permitted") {
			t.Errorf("the channel of %d is open to a third user: %s", pid, said)
		}
	}
	if _, said := attack(t, nobody, nil, "speak", "-from", fmt.Sprint(s.front.Process.Pid), "x"); !strings.Contains(said, "operation not permitted") {
		t.Errorf("the supervisor's channel is open to the service's user: %s", said)
	}
	s.wantTERM(t)
}

// TestChannelOfATurncoat has the serving generation itself speak.
func TestChannelOfATurncoat(t *testing.T) {
	t.Parallel()
	s := newService(t, asNobody, onlyWeb)
	s.start(t)
	s.upgrade(t)
	pid, unharmed := victim(t)
	start, err := process.StartTime(pid)
	must(t, err)
	for _, kind := range []string{"a foreign process", "garbage"} {
		for _, text := range hostileMessages(pid, start)[kind] {
			for _, files := range []string{"0", "1", "250"} {
				if text != "" { // which would be the channel's end
					_, err := s.get("/speak", url.Values{"text": {text}, "files": {files}})
					refused := err != nil && files != "0" && strings.Contains(err.Error(), "operation not permitted") // by Linux 6.16
					if err != nil && !refused && !strings.Contains(err.Error(), "message too long") {
						t.Fatal(err)
					}
				}
			}
		}
	}
	must(t, s.front.Process.Signal(syscall.SIGUSR1))
	s.ask(t, "/", nil)
	if n := descriptors(t, s.front.Process.Pid); n > 64 {
		t.Errorf("the supervisor has %d descriptors", n)
	}
	s.wantTERM(t)
	unharmed()
}

// wantSame checks that the supervisor is what it was.
func (s *service) wantSame(t *testing.T) {
	t.Helper()
	time.Sleep(settle) // an attack takes effect at once or never
	select {
	case <-s.ended:
		t.Fatalf("the supervisor has ended: %v", s.front.ProcessState)
	default:
	}
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.front.Process.Pid)); err != nil || exe != s.binary {
		t.Errorf("the supervisor runs %s, %v, want %s", exe, err, s.binary)
	}
}

// wantUnharmed checks that the supervisor is what it was, and knows who serves.
func (s *service) wantUnharmed(t *testing.T) {
	t.Helper()
	s.wantSame(t)
	// A request for an upgrade reaches the generation that serves, and nobody else.
	want := s.generation() + 1
	must(t, s.front.Process.Signal(syscall.SIGHUP))
	await(t, fmt.Sprintf("serving as generation %d", want), func() bool { return s.generation() >= want })
}

func descriptors(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	must(t, err)
	return len(entries)
}
