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
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudflare/tableflip"
	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// A daemon under test is this binary, started again. Its first generation gets
// a listener as descriptor 3; the serving generation answers one command a
// connection there. How the next generation behaves is the content of a file.
const (
	nextEnv    = "GOZD_TEST_NEXT"    // path of that file
	timeoutEnv = "GOZD_TEST_TIMEOUT" // Options.Timeout
	aloneEnv   = "GOZD_TEST_ALONE"   // no Options.StandBy
	lifetime   = time.Minute         // of a generation that nobody ends
	notePassed = "note"              // a file that is passed on
	noteText   = "from generation 1"
)

// tableflipEnv is what tableflip marks a child with (env.go, v1.2.3).
const tableflipEnv = "TABLEFLIP_HAS_PARENT_7DIU3"

func init() {
	upgrade.Roles["generation"] = generation
	upgrade.Roles["stray successor"] = straySuccessor
	upgrade.Roles["two upgraders"] = twoUpgraders
}

// answer is what a generation says about itself, or about an upgrade.
type answer struct {
	PID          int
	StartTime    uint64
	Generation   int
	Manifest     upgrade.Manifest
	Marked       bool // the environment still says that it is a successor
	ParentExited bool
	Note         string   // what was in the file passed on
	Out          []string // what a command printed

	Successor int // of an upgrade
	Next      int // its generation
	StandsBy  bool
	Fate      string // of the successor before
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

// generation is the life of one process.
func generation() {
	time.AfterFunc(lifetime, func() { os.Exit(9) }) // when the test itself was killed
	if !upgrade.IsSuccessor() {
		unix.CloseOnExec(3)
		s := open()
		s.addListener()
		s.passNote()
		s.up.Ready()
		s.serve()
	}
	next, err := os.ReadFile(os.Getenv(nextEnv))
	must(err)
	word, limit, _ := strings.Cut(string(next), " ")
	successors[word](limit)
}

// successors are the ways in which a new generation can behave.
var successors = map[string]func(limit string){
	"serve": func(string) { inherit().begin().serve() },

	// Those that have not read the parent's message, and whose PID nobody knows.
	"exit":  func(string) { os.Exit(3) },
	"clean": func(string) { os.Exit(0) },
	"panic": func(string) { crash() },
	"sleep": func(string) { sayPID(); time.Sleep(lifetime) },

	// Those that have.
	"leave": func(string) { inherit(); os.Exit(4) },
	"crash": func(string) { inherit(); crash() },
	"hang":  func(string) { inherit(); sayPID(); time.Sleep(lifetime) },
	"refuse": func(string) {
		inherit().up.Report().Fail(upgrade.StageConfiguration, errors.New("app.conf:1: [web]: no"))
		os.Exit(1)
	},
	"die":     die,
	"slow":    slow,
	"foreign": foreign,
	"heir":    heir,
	"forget":  func(string) { open().begin(); time.Sleep(lifetime) }, // the listener
	"orphan":  orphan,
	"eager":   eager,
}

// die is a generation that ends when it has only one more thing to do.
func die(string) {
	s := inherit()
	s.up.Report().Ready(s.up.Kept())
	os.Exit(5)
}

// slow is a generation that serves, and tells others of it when the test says so.
func slow(string) {
	s := inherit()
	s.up.Ready()
	go func() {
		for _, err := os.Stat(os.Getenv(nextEnv) + ".tell"); err != nil; _, err = os.Stat(os.Getenv(nextEnv) + ".tell") {
			time.Sleep(time.Millisecond)
		}
		s.up.Report().Ready(s.up.Kept())
	}()
	s.serve()
}

// foreign is a program that has tableflip in it and not gozd.
func foreign(string) {
	up, err := tableflip.New(tableflip.Options{})
	must(err)
	sayPID()
	must(up.Ready())
	time.Sleep(lifetime)
}

// orphan is a generation that takes its time, until its parent is gone.
func orphan(string) {
	s := inherit()
	sayPID()
	<-s.up.ParentExited()
	s.begin().serve()
}

// heir is a generation that waits for the end of its parent, or for its own, before it serves.
func heir(limit string) {
	s := inherit()
	sayPID()
	<-s.up.ParentExited()
	if limit == "dies" {
		os.Exit(6)
	}
	s.begin().serve()
}

func crash() { panic("boom") }

// eager is a generation that has been asked for an upgrade before it was ready.
func eager(limit string) {
	s := inherit().begin()
	if fmt.Sprint(s.up.Manifest().Generation) != limit {
		s.upgrade(&s.eager)
	}
	s.serve()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func open() *server {
	timeout, err := time.ParseDuration(os.Getenv(timeoutEnv))
	must(err)
	up, err := upgrade.New(upgrade.Options{Timeout: timeout, StandBy: os.Getenv(aloneEnv) == ""})
	must(err)
	up.SetPIDFile("/run/app.pid")
	s := &server{up: up, back: make(chan net.Listener)}
	s.early.run("ls", "-l", "/proc/self/fd")
	return s
}

func (s *server) addListener() {
	f := os.NewFile(3, "listener")
	ln, err := net.FileListener(f)
	must(err)
	must(f.Close())
	must(s.up.Add(upgrade.Socket{Group: "web", Network: "tcp", Address: "127.0.0.1:0"}, ln.(upgrade.Listener)))
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
	s.ln = ln
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

// sayPID tells the test which process to look at.
func sayPID() {
	path := os.Getenv(nextEnv) + ".pid"
	must(os.WriteFile(path+"~", fmt.Append(nil, os.Getpid()), 0o600))
	must(os.Rename(path+"~", path))
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
		Fate:       fmt.Sprint(s.fate.Load()),
		Marked:     marked || upgrade.IsSuccessor(),
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
	case "upgrade without a binary":
		binary := os.Args[0]
		os.Args[0] = binary + ".missing"
		s.upgrade(a)
		os.Args[0] = binary
	case "upgrade with too many groups":
		for range 2000 {
			must(s.up.Add(upgrade.Socket{Group: "web", Address: "127.0.0.1:0"}, s.listener().(upgrade.Listener)))
		}
		s.upgrade(a)
	case "stop":
		s.up.Stop()
	case "end": // as a daemon does that is asked to stop
		s.up.Relieve(lifetime)
		os.Exit(0)
	case "panic":
		go crash()
		time.Sleep(lifetime)
	case "descriptors":
		runtime.GC() // tableflip leaves the child's ends of its pipes to the collector
		a.run("ls", "-l", fmt.Sprintf("/proc/%d/fd", a.PID))
	case "child's descriptors":
		a.run("ls", "-l", "/proc/self/fd")
	case "early child's descriptors":
		a.Out = s.early.Out
	case "child's environment":
		a.run("env")
	}
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
	ancestors := append(self.Manifest.Ancestors,
		upgrade.Ancestor{Generation: self.Generation, PID: self.PID, StartTime: self.StartTime})
	start := time.Now()
	successor, err := s.up.Upgrade(func() []upgrade.Ancestor { return ancestors }, report.Watcher{})
	a.Took = time.Since(start)
	if err != nil {
		a.fail(err)
		return
	}
	a.Successor, a.Next = successor.PID, successor.Generation
	if successor.Fate != nil {
		a.StandsBy = true
		go s.standBy(successor)
	}
	go func() {
		<-successor.Settled
		must(os.WriteFile(os.Getenv(nextEnv)+".settled", nil, 0o600))
	}()
	_ = s.listener().Close()
}

// standBy serves again when the successor has died, and lets go when it need not any more.
func (s *server) standBy(successor *upgrade.Successor) {
	if err := <-successor.Fate; err != nil {
		s.fate.Store(err.Error())
		ln, err := s.up.Reopen("web")
		must(err)
		s.back <- ln
		return
	}
	s.fate.Store("relieved")
	s.up.Resign()
}

func straySuccessor() {
	f, err := os.Open(os.DevNull) // the runtime opens what it needs for files
	must(err)
	defer f.Close()
	must(os.Setenv(tableflipEnv, "yes"))
	_, err = upgrade.New(upgrade.Options{})
	fmt.Println(err)
}

// twoUpgraders is a program that makes every mistake.
func twoUpgraders() {
	up, err := upgrade.New(upgrade.Options{})
	must(err)
	_, err = up.Upgrade(func() []upgrade.Ancestor { return nil }, report.Watcher{})
	fmt.Println(err)
	_, err = upgrade.New(upgrade.Options{})
	fmt.Println(err)
	_, err = up.Inherit(upgrade.Socket{ID: "1.1"}, upgrade.Socket{Group: "web"})
	fmt.Println(err)
}
