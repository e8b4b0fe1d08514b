//go:build unix

package upgrade_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/socket"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// answer is what a generation says about itself, or about an upgrade.
type answer struct {
	PID          int
	StartTime    uint64
	Generation   int
	Manifest     upgrade.Manifest
	Ancestors    []peers.Peer // from the payload
	Marked       bool         // the environment still says that it is a successor
	ParentExited bool
	Note         string   // what was in the file passed on
	Out          []string // what a command printed

	Successor int // of an upgrade
	Next      int // its generation
	StandsBy  bool
	Outcome   string // of the successor before
	Took      time.Duration
	Error     string
	Stage     string // of an *upgrade.Error
	ErrorPID  int
}

func (a *answer) fail(err error) {
	a.Error = err.Error()
	var failed *upgrade.Error
	if errors.As(err, &failed) {
		a.Stage, a.ErrorPID = failed.Stage, failed.PID
	}
}

// server is one generation.
type server struct {
	up    *upgrade.Upgrader
	mu    sync.Mutex // guards ln
	ln    net.Listener
	back  chan net.Listener // a listener when this generation serves again
	note  string
	early answer // what a child said before this generation was ready
	eager answer // what came of an upgrade right after that
	fate  atomic.Value
}

func open() *server {
	timeout, err := time.ParseDuration(os.Getenv(timeoutEnv))
	must(err)
	up, err := upgrade.New(upgrade.Options{Timeout: timeout, StandBy: os.Getenv(aloneEnv) == ""})
	must(err)
	s := &server{up: up, back: make(chan net.Listener)}
	s.early.run("ls", "-l", "/proc/self/fd")
	return s
}

func (s *server) addListener() {
	f := os.NewFile(3, "listener")
	ln, err := net.FileListener(f)
	must(err)
	must(f.Close())
	must(s.up.Add(upgrade.Socket{Group: "web", Network: "tcp", Address: "127.0.0.1:0"}, ln.(socket.Socket)))
	s.ln = ln
}

// passNote passes two files to all later generations, and takes one back.
func (s *server) passNote() {
	f, err := os.CreateTemp("", "gozd-note")
	must(err)
	must(os.Remove(f.Name()))
	_, err = io.WriteString(f, noteText)
	must(err)
	s.up.Pass(notePassed, f)
	s.up.Pass("taken back", f)
	s.up.Pass("taken back", nil)
}

func inherit() *server {
	s := open()
	old := s.up.Manifest().Sockets[0]
	now := old
	now.ID = "ignored"
	ln, err := s.up.Inherit(old, now)
	must(err)
	s.ln = ln.(net.Listener)
	if _, err := s.up.Inherit(old, now); err == nil {
		panic("a socket was inherited twice")
	}
	if s.up.File("taken back") != nil {
		panic("a file that was taken back has been passed on")
	}
	f := s.up.File(notePassed)
	if f == nil || s.up.File(notePassed) != nil {
		panic("a file can be had more or less than once")
	}
	_, err = f.Seek(0, io.SeekStart)
	must(err)
	text, err := io.ReadAll(f)
	must(err)
	s.note = string(text)
	s.up.Pass(notePassed, f)
	return s
}

func (s *server) begin() *server {
	s.up.Ready()
	s.up.Report().Ready(s.up.Kept())
	return s
}

// serve answers until it is killed. After an upgrade there is nothing to answer.
func (s *server) serve() {
	for {
		c, err := s.listener().Accept()
		if err != nil {
			ln := <-s.back
			s.mu.Lock()
			s.ln = ln
			s.mu.Unlock()
			continue
		}
		go s.handle(c)
	}
}

func (s *server) listener() net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ln
}

func (s *server) handle(c net.Conn) {
	defer c.Close()
	command, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return
	}
	a := s.about()
	s.do(strings.TrimSpace(command), &a)
	_ = json.NewEncoder(c).Encode(a)
}

func (s *server) about() answer {
	_, marked := os.LookupEnv(tableflipEnv)
	a := answer{
		PID:        os.Getpid(),
		Manifest:   s.up.Manifest(),
		Generation: s.up.Manifest().Generation,
		Note:       s.note,
		Error:      s.eager.Error,
		Outcome:    fmt.Sprint(s.fate.Load()),
		Marked:     marked || upgrade.IsSuccessor(),
	}
	if payload := a.Manifest.Payload; payload != nil {
		must(json.Unmarshal(payload, &a.Ancestors))
	}
	a.StartTime, _ = process.StartTime(a.PID)
	select {
	case <-s.up.ParentExited():
		a.ParentExited = true
	default:
	}
	return a
}

func (s *server) do(command string, a *answer) {
	switch command {
	case "upgrade":
		s.upgrade(a)
	case "upgrade without a payload":
		_, err := s.up.Upgrade(func() (json.RawMessage, error) { return nil, errors.New("no payload") }, upgrade.Watcher{})
		a.fail(err)
	case "upgrade without a binary":
		binary := os.Args[0]
		os.Args[0] = binary + ".missing"
		s.upgrade(a)
		os.Args[0] = binary
	case "upgrade to a busy binary":
		binary := os.Args[0]
		os.Args[0] = busyCopy(binary)
		s.upgrade(a)
		os.Args[0] = binary
	case "upgrade with too many groups":
		for range 2000 {
			must(s.up.Add(upgrade.Socket{Group: "web", Address: "127.0.0.1:0"}, s.listener().(socket.Socket)))
		}
		s.upgrade(a)
	case "stop":
		s.up.Stop()
	case "end": // as a daemon does that is asked to stop
		s.up.EndParentsStandby(lifetime)
		os.Exit(0)
	case "panic":
		go crash()
		time.Sleep(lifetime)
	case "fork and die":
		a.Successor = forkAndDie()
	case "descriptors":
		a.run("ls", "-l", fmt.Sprintf("/proc/%d/fd", a.PID))
	case "child's descriptors":
		a.run("ls", "-l", "/proc/self/fd")
	case "early child's descriptors":
		a.Out = s.early.Out
	case "child's environment":
		a.run("env")
	}
}

// busyCopy returns a copy that is open for writing a moment longer, as a process that is just being started has it open which this
// program starts while it writes it.
func busyCopy(binary string) string {
	content, err := os.ReadFile(binary)
	must(err)
	path := os.Getenv(nextEnv) + ".binary"
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o700)
	must(err)
	_, err = f.Write(content)
	must(err)
	time.AfterFunc(100*time.Millisecond, func() { must(f.Close()) })
	return path
}

func (a *answer) run(name string, args ...string) *answer {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		a.fail(err)
	}
	a.Out = strings.Split(strings.TrimSpace(string(out)), "\n")
	return a
}

func (s *server) upgrade(a *answer) {
	self := s.about()
	ancestors := append(self.Ancestors,
		peers.Peer{Generation: self.Generation, PID: self.PID, StartTime: self.StartTime})
	start := time.Now()
	successor, err := s.up.Upgrade(func() (json.RawMessage, error) { return json.Marshal(ancestors) }, upgrade.Watcher{})
	a.Took = time.Since(start)
	if err != nil {
		a.fail(err)
		return
	}
	a.Successor, a.Next = successor.PID, successor.Generation
	if successor.Outcome != nil {
		a.StandsBy = true
		go s.standBy(successor)
	}
	go func() {
		<-successor.ReportEnded
		must(os.WriteFile(os.Getenv(nextEnv)+".settled", nil, 0o600))
	}()
	_ = s.listener().Close()
}

// standBy serves again when the successor has died, and lets go when it need not any more.
func (s *server) standBy(successor *upgrade.Successor) {
	if err := <-successor.Outcome; err != nil {
		s.fate.Store(err.Error())
		ln, err := s.up.Reopen("web")
		must(err)
		s.back <- ln.(net.Listener)
		return
	}
	s.fate.Store("relieved")
	s.up.EndStandby()
}
