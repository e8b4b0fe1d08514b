//go:build unix

package upgrade_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/cloudflare/tableflip"
	"golang.org/x/sys/unix"

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
	"fatal": func(string) { log.Fatal(inUse) },
	"clean": func(string) { os.Exit(0) },
	"panic": func(string) { crash() },
	"sleep": func(string) { sayPID(); time.Sleep(lifetime) },

	// Those that have.
	"leave": func(string) { inherit(); os.Exit(4) },
	"fail":  func(string) { inherit(); log.Fatal(inUse) },
	"crash": func(string) { inherit(); crash() },
	"hang":  func(string) { inherit(); sayPID(); time.Sleep(lifetime) },
	"refuse": func(string) {
		inherit().up.Report().Fail(upgrade.StageConfiguration, errors.New("app.conf:1: [web]: no"))
		os.Exit(1)
	},
	"die":     die,
	"late":    late,
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

// late is a generation that serves after a while, and does not care that its parent's patience is over.
func late(after string) {
	d, err := time.ParseDuration(after)
	must(err)
	s := inherit()
	time.Sleep(d)
	s.begin().serve()
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

const inUse = "listen tcp :6060: bind: address already in use"

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

// sayPID tells the test which process to look at.
func sayPID() {
	path := os.Getenv(nextEnv) + ".pid"
	must(os.WriteFile(path+"~", fmt.Append(nil, os.Getpid()), 0o600))
	must(os.Rename(path+"~", path))
}

func straySuccessor() {
	f, err := os.Open(os.DevNull) // the runtime opens what it needs for files
	must(err)
	defer f.Close()
	_, err = upgrade.New(upgrade.Options{})
	fmt.Println(err)
}

// twoUpgraders is a program that makes every mistake.
func twoUpgraders() {
	up, err := upgrade.New(upgrade.Options{})
	must(err)
	_, err = up.Upgrade(func() (json.RawMessage, error) { return nil, nil }, upgrade.Watcher{})
	fmt.Println(err)
	_, err = upgrade.New(upgrade.Options{})
	fmt.Println(err)
	_, err = up.Inherit(upgrade.Socket{ID: "1.1"}, upgrade.Socket{Group: "web"})
	fmt.Println(err)
}
