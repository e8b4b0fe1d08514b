package endurance

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/load"
)

const (
	// soakEnv is the variable that says how long the soak lasts.
	soakEnv = "GOZD_SOAK"

	// soakSeedEnv is the variable that has the soak repeat a sequence. When what is
	// done meets what clients do is up to the machine all the same.
	soakSeedEnv = "GOZD_SOAK_SEED"

	// soakDefault keeps ordinary runs of the tests short.
	soakDefault = 20 * time.Second

	// soakRhythm is the most that passes between two deeds.
	soakRhythm = 300 * time.Millisecond

	// soakStep bounds whatever the soak waits for.
	soakStep = time.Minute
)

// soak is a daemon to which everything happens that may happen to one, in a random
// sequence.
type soak struct {
	t     *testing.T
	d     *daemon.Daemon
	rng   *rand.Rand
	rec   *load.Recorder
	crowd *soakCrowd
	conf  soakConf // of the generation that serves
	tally soakTally
	began time.Time

	at      *soakServers // the sockets in use
	web     string       // what the configuration has for two of them
	secure  string
	version int // of the binary, alternately
}

// TestSoak upgrades a daemon well and badly, changes its configuration, rolls back,
// stops it and starts it again, while clients of every kind come and go, and loses
// none of their requests. What a generation holds when it is idle does not grow.
func TestSoak(t *testing.T) {
	seed, limit := soakSeed(t), soakLength(t)
	t.Logf("%s=%d %s=%v", soakSeedEnv, seed, soakEnv, limit)
	s := newSoak(t, seed)
	defer s.report()
	s.start()
	s.look()
	s.crowd.come(s.at)
	for hand := []soakDeed(nil); time.Since(s.began) < limit && !t.Failed(); hand = hand[1:] {
		if len(hand) == 0 {
			hand = s.deal()
		}
		s.do(hand[0])
	}
	s.crowd.leave()
	s.look()
	s.stop()
}

func soakLength(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv(soakEnv)
	if text == "" {
		return soakDefault
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("$%s is %q, want how long the soak is to last", soakEnv, text)
	}
	return d
}

func soakSeed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv(soakSeedEnv)
	if text == "" {
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("$%s is %q, want a number", soakSeedEnv, text)
	}
	return seed
}

// newSoak prepares a daemon; it does not run yet, and has no clients.
func newSoak(t *testing.T, seed uint64) *soak {
	t.Helper()
	daemontest.Descriptors(t, os.Getpid()) // skips the test where there is no /proc
	s := &soak{
		t:    t,
		d:    daemontest.Prepare(t, binaries.Mixed(t), ""),
		rng:  rand.New(rand.NewPCG(seed, 0)),
		rec:  new(load.Recorder),
		conf: soakPlainest, began: time.Now(),
		tally: soakTally{counts: make(map[string]soakCount)},
	}
	s.crowd = newCrowd(t, s.rec, seed)
	t.Cleanup(s.crowd.leave) // before the daemon is stopped
	return s
}

// deal returns all deeds in a random order. Dealing them like cards has each come up in a
// minute, and none too often.
func (s *soak) deal() []soakDeed {
	var hand []soakDeed
	for _, deed := range soakDeeds {
		for range deed.times {
			hand = append(hand, deed)
		}
	}
	s.rng.Shuffle(len(hand), func(i, j int) { hand[i], hand[j] = hand[j], hand[i] })
	return hand
}

// do does one deed after a random time, and then looks whether a client has lost
// anything: so a failure is known by the deed that it came with.
func (s *soak) do(deed soakDeed) {
	time.Sleep(upTo(s.rng, soakRhythm))
	s.note("%s", deed.name)
	deed.do(s)
	if failed := s.rec.Failed(); failed > 0 {
		s.t.Errorf("%d exchanges have failed by the end of %q", failed, deed.name)
	}
}

// start starts the daemon. Its ports are new ones.
func (s *soak) start() {
	s.conf = soakPlainest
	s.web, s.secure = "127.0.0.1:0", "127.0.0.1:0"
	s.install()
	s.configure(s.conf)
	if err := s.d.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.at = &soakServers{
		open: daemontest.Target(s.t, s.d, "web"), secure: daemontest.Target(s.t, s.d, "secure"), app: daemontest.Target(s.t, s.d, "app"),
		line: daemontest.Target(s.t, s.d, "line"), state: daemontest.Target(s.t, s.d, "state"),
	}
	s.web, s.secure = s.at.open.Address, s.at.secure.Address // which may have other names from now on
}

// stop stops the daemon, of which nothing is left then.
func (s *soak) stop() {
	ctx, cancel := context.WithTimeout(s.t.Context(), soakStep)
	defer cancel()
	if err := s.d.Stop(ctx); err != nil {
		s.t.Errorf("stop: %v", err)
	}
	// There may have been generations that nobody has seen serve.
	daemontest.Await(s.t, "end of the last process", func() bool { return len(daemontest.ProcessesOf(s.t, s.d)) == 0 })
	_ = os.Remove(filepath.Join(s.d.Dir, "fault")) // this test's own
	daemontest.WantNothingLeft(s.t, s.d)
}

// look lets the daemon be alone and measures it. What is measured is always a generation
// that has just begun, and that has the same configuration as the one before it.
func (s *soak) look() {
	s.upgradeTo(soakPlainest)
	s.upgradeTo(soakPlainest)
	if err := daemontest.WaitAlive(s.t, s.d, 1, soakStep); err != nil {
		s.t.Fatal(err)
	}
	// At its first look at another process, package os starts one that ends at once, to see whether it
	// can have a pidfd (checkClonePidfd in os/pidfd_linux.go, go1.26).
	daemontest.Await(s.t, "end of all processes but one", func() bool { return len(daemontest.ProcessesOf(s.t, s.d)) == 1 })
	s.tally.figures = append(s.tally.figures, s.measure())
}

func (s *soak) state() *process.State {
	s.t.Helper()
	state, err := s.d.State()
	if err != nil {
		s.t.Fatal(err)
	}
	return state
}
