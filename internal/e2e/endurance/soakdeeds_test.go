package endurance

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/loadtest"
)

// soakConf is what may change in the configuration.
type soakConf struct {
	plain       bool // there is a group more
	swapped     bool // two groups have each other's names
	drain       string
	generations int
	probation   string
}

// soakPlainest is the configuration of a new daemon.
var soakPlainest = soakConf{drain: "15m", generations: 64, probation: "0s"}

// soakDeed is something that happens to the daemon.
type soakDeed struct {
	name  string
	times int // in each deal
	do    func(s *soak)
}

var soakDeeds = []soakDeed{
	{"upgrade", 8, func(s *soak) { s.upgradeTo(s.conf) }},
	{"new binary crashes", 4, (*soak).crash},
	{"new binary hangs", 1, (*soak).hang},
	{"new binary is none", 2, (*soak).noProgram},
	{"configuration is broken", 4, (*soak).breakConf},
	{"configuration changes", 6, (*soak).changeConf},
	{"health check fails", 2, (*soak).failCheck},
	{"rollback", 2, (*soak).rollBack},
	{"few generations", 1, (*soak).hurry},
	{"stop and start", 1, (*soak).restart},
	{"look", 1, (*soak).lookBetween},
}

// configure writes a configuration; further groups follow.
func (s *soak) configure(c soakConf, more ...string) {
	s.t.Helper()
	open, tls := "web", "secure"
	if c.swapped {
		open, tls = tls, open
	}
	groups := []string{
		fmt.Sprintf("[%s]\nmode http\nlisten %s\n", open, s.web),
		fmt.Sprintf("[%s]\nmode https\nlisten %s\nkey key.pem\ncert cert.pem\n", tls, s.secure),
		"[app]\nmode fcgi\nlisten unix:app.sock\n",
		"[line]\nmode tcp\nlisten 127.0.0.1:0\n",
		"[state]\nmode tcp\nlisten unix:state.sock\n",
	}
	if c.plain {
		groups = append(groups, "[plain]\nmode http\nlisten unix:plain.sock\n")
	}
	text := strings.Join(groups, "drain_timeout "+c.drain+"\n") + "drain_timeout " + c.drain + "\n" + strings.Join(more, "")
	if err := s.d.Configure(text, "upgrade_timeout 6s", fmt.Sprintf("max_generations %d", c.generations), "probation "+c.probation); err != nil {
		s.t.Fatal(err)
	}
}

// install installs a program that works, each time the other version.
func (s *soak) install() {
	s.t.Helper()
	s.version++
	if err := daemon.Install([]string{binaries.Mixed(s.t), binaries.Mixed2(s.t)}[s.version%2], s.d.Binary); err != nil {
		s.t.Fatal(err)
	}
}

// upgradeTo upgrades to a configuration.
func (s *soak) upgradeTo(c soakConf) {
	s.t.Helper()
	before := s.state()
	s.install()
	s.configure(c)
	up, err := s.d.Upgrade(s.t.Context())
	if err != nil {
		s.t.Fatalf("upgrade from generation %d: %v", before.Generation, err)
	}
	if up.Served.Generation != before.Generation+1 {
		s.t.Errorf("generation %d follows generation %d", up.Served.Generation, before.Generation)
	}
	s.tally.upgrades++
	s.tally.longest = max(s.tally.longest, time.Duration(up.Served.Seconds*float64(time.Second)))
	s.wantGroups(c)
	s.conf = c
}

// wantGroups checks that the daemon listens where the configuration says.
func (s *soak) wantGroups(c soakConf) {
	s.t.Helper()
	open, tls := "web", "secure"
	if c.swapped {
		open, tls = tls, open
	}
	want := []string{"app", "line", "secure", "state", "web"}
	if c.plain {
		want = slices.Insert(want, 2, "plain")
	}
	listen := s.state().Listen
	if got := slices.Sorted(maps.Keys(listen)); !slices.Equal(got, want) {
		s.t.Errorf("the groups are %v, want %v", got, want)
	}
	if listen[open] != "tcp "+s.web || listen[tls] != "tcp "+s.secure {
		s.t.Errorf("it listens on %v, want %s on %s and %s on %s", listen, open, s.web, tls, s.secure)
	}
	if c.plain {
		loadtest.Get(s.t, daemontest.Target(s.t, s.d, "plain"), "/")
		return
	}
	daemontest.Await(s.t, "end of the plain group's socket", func() bool {
		_, err := os.Stat(filepath.Join(s.d.Dir, "plain.sock"))
		return errors.Is(err, os.ErrNotExist)
	})
}

// wantRefused asks for an upgrade that fails for the reason given.
func (s *soak) wantRefused(kind, words string) {
	s.t.Helper()
	before, asked := s.state(), time.Now()
	_, err := s.d.Upgrade(s.t.Context())
	s.wantFailure(before, err, kind, words)
	s.tally.count(kind, 1, time.Since(asked))
}

// wantFailure checks that an upgrade has failed and that nothing has changed.
func (s *soak) wantFailure(before *process.State, err error, kind, words string) {
	s.t.Helper()
	refused := new(client.UpgradeError)
	if !errors.As(err, &refused) || refused.PID != before.PID || !strings.Contains(refused.Error(), words) {
		s.t.Fatalf("%s: upgrade returned %v, want %q and that pid %d serves on", kind, err, words, before.PID)
	}
	if pid, err := process.ReadPID(s.d.PIDFile); err != nil || pid != before.PID {
		s.t.Errorf("%s: the PID file names %d, %v, want %d", kind, pid, err, before.PID)
	}
	if now := s.state(); now.PID != before.PID {
		s.t.Errorf("%s: the state is %+v, want pid %d", kind, now, before.PID)
	}
	now, err := s.d.Status(s.t.Context())
	if err != nil || now.Upgrades.InProgress || now.Upgrades.LastFailure != refused.Error() {
		s.t.Errorf("%s: the status is %+v, %v, want the failure %q", kind, now, err, refused)
	}
}

// soakFault is something that is wrong with what is upgraded to.
type soakFault struct {
	name   string
	damage func(t *testing.T, d *daemon.Daemon)
	words  string // in the reason
}

func (s *soak) anyOf(faults []soakFault) {
	s.t.Helper()
	f := faults[s.rng.IntN(len(faults))]
	s.configure(s.conf)
	f.damage(s.t, s.d)
	s.wantRefused(f.name, f.words)
}

func (s *soak) crash() {
	s.anyOf([]soakFault{
		{"exit early", daemontest.Fault("exit early"), "exit status 3"},
		{"exit", daemontest.Fault("exit"), "exit status 4"},
		{"exit with the PID file", daemontest.Fault("exit with the PID file"), "exit status 4"},
		{"panic early", daemontest.Fault("panic early"), "panic: early fault"},
		{"panic", daemontest.Fault("panic"), "panic: late fault"},
		{"panic in a goroutine", daemontest.Fault("panic in a goroutine"), "panic: fault elsewhere"},
	})
}

func (s *soak) hang() {
	s.anyOf([]soakFault{
		{"hang early", daemontest.Fault("hang early"), "not ready after "},
		{"hang", daemontest.Fault("hang"), "not ready after "},
		{"leave a group out", daemontest.Fault("leave a group out"), "not ready after "},
	})
}

func (s *soak) noProgram() {
	s.anyOf([]soakFault{
		{"no program", daemontest.Replace("#!/nowhere/at/all\n", 0o755), "no such file"},
		{"empty program", daemontest.Replace("", 0o755), "exec format error"},
		{"not executable", daemontest.Replace("#!/bin/sh\n", 0o644), "permission denied"},
		{"program not there", func(_ *testing.T, d *daemon.Daemon) { _ = os.Remove(d.Binary) }, "no such file"},
	})
}

// breakConf has a program that works find a configuration that does not.
func (s *soak) breakConf() {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	group := func(lines string) func(*testing.T, *daemon.Daemon) {
		return func(*testing.T, *daemon.Daemon) { s.configure(s.conf, "[more]\n", lines) }
	}
	s.install()
	s.anyOf([]soakFault{
		{"unknown key", group("mode tcp\nlisren 80\n"), `unknown key "lisren"`},
		{"key pair missing", group("mode https\nlisten unix:more.sock\nkey none.pem\ncert none.pem\n"), "none.pem"},
		{"address taken", group("mode tcp\nlisten " + taken.Addr().String() + "\n"), "address already in use"},
		{"configuration missing", func(_ *testing.T, d *daemon.Daemon) { _ = os.Remove(d.Conf) }, "app.conf"},
	})
}

// changeConf changes one thing or several.
func (s *soak) changeConf() {
	c := s.conf
	for range 1 + s.rng.IntN(2) {
		switch s.rng.IntN(5) {
		case 0:
			c.plain = !c.plain
		case 1:
			c.swapped = !c.swapped
		case 2:
			c.drain = []string{"30s", "1m", "15m"}[s.rng.IntN(3)]
		case 3:
			c.generations = []int{32, 64}[s.rng.IntN(2)]
		case 4:
			c.probation = []string{"0s", "200ms"}[s.rng.IntN(2)]
		}
	}
	s.upgradeTo(c)
}

// failCheck has a new generation serve for a while and fail its health check.
func (s *soak) failCheck() {
	s.upgradeTo(s.withProbation("200ms")) // the old one has to wait for it
	unwell := filepath.Join(s.d.Dir, "unwell")
	if err := os.WriteFile(unwell, []byte("tired\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = os.Remove(unwell) }()
	s.install()
	// Who cannot be moved back would lose his connection.
	s.crowd.door.Lock()
	defer s.crowd.door.Unlock()
	s.wantRefused("health check", "health check: tired")
}

func (s *soak) withProbation(time string) soakConf {
	c := s.conf
	c.probation = time
	return c
}

// rollBack ends a probation. Upgrades that were asked for meanwhile, all at once, are
// one that follows.
func (s *soak) rollBack() {
	then := s.conf
	s.upgradeTo(s.withProbation("1m"))
	s.crowd.door.Lock() // as in failCheck
	defer s.crowd.door.Unlock()
	before, asks := s.state(), s.rng.IntN(4)
	s.install()
	_, outcome := daemontest.BeginTrial(s.t, s.d)
	time.Sleep(upTo(s.rng, soakRhythm))
	s.configure(then)
	for range asks {
		daemontest.SignalServing(s.t, s.d, syscall.SIGHUP)
	}
	asked := time.Now()
	_, err := s.d.Rollback(s.t.Context())
	told := <-outcome
	s.tally.count("rollback", 1, time.Since(asked))
	if asks > 0 { // these two may have met the upgrade that follows at once
		s.awaitNext(before, then)
		s.tally.count("asked for at once", asks, time.Since(asked))
		return
	}
	if err != nil {
		s.t.Errorf("rollback: %v", err)
	}
	s.wantFailure(before, told, "rollback", "rolled back on request")
	s.upgradeTo(then)
}

// awaitNext waits for an upgrade to a configuration that has been asked for.
func (s *soak) awaitNext(before *process.State, c soakConf) {
	s.t.Helper()
	daemontest.Await(s.t, "upgrade that was asked for during the probation", func() bool { return s.state().PID != before.PID })
	if now := s.state(); now.Generation != before.Generation+1 {
		s.t.Errorf("generation %d follows generation %d", now.Generation, before.Generation)
	}
	s.tally.upgrades++
	s.wantGroups(c)
	s.conf = c
}

// hurry has the daemon do with few generations: old ones must be quicker than they
// would like. Connections that stay with them are cut, so there are none.
func (s *soak) hurry() {
	s.crowd.door.Lock()
	defer s.crowd.door.Unlock()
	s.crowd.awaitMovable()
	then, few := s.conf, s.conf
	few.generations = 2
	began := time.Now()
	for range 4 {
		s.upgradeTo(few)
	}
	s.upgradeTo(then)
	s.tally.count("few generations", 1, time.Since(began))
}

// restart stops the daemon, perhaps in an upgrade, when its clients have gone, and
// starts it again for others.
func (s *soak) restart() {
	s.crowd.leave()
	if s.rng.IntN(2) == 0 {
		s.askAtOnce(2 + s.rng.IntN(4))
	}
	stopped := time.Now()
	s.stop()
	s.start()
	s.tally.count("stop and start", 1, time.Since(stopped))
	s.crowd.come(s.at)
}

// askAtOnce has several operators ask for an upgrade, each of whom is told that there
// was one. How many there are is not known, nor whether the last one is over.
func (s *soak) askAtOnce(n int) {
	s.install()
	s.configure(s.conf)
	before, asked := s.state(), time.Now()
	var operators sync.WaitGroup
	for range n {
		operators.Go(func() {
			if up, err := s.d.Upgrade(s.t.Context()); err != nil {
				s.t.Errorf("one of %d who ask at once: %v", n, err)
			} else if up.Served.Generation <= before.Generation {
				s.t.Errorf("generation %d follows generation %d", up.Served.Generation, before.Generation)
			}
		})
	}
	operators.Wait()
	s.tally.upgrades += s.state().Generation - before.Generation
	s.tally.count("asked for at once", n, time.Since(asked))
}

// lookBetween measures the daemon without clients.
func (s *soak) lookBetween() {
	then := s.conf
	s.crowd.leave()
	s.look()
	s.upgradeTo(then)
	s.crowd.come(s.at)
}
