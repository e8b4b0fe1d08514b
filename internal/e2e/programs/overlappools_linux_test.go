package programs

import (
	"bufio"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// database is a server of at most limit connections.
type database struct {
	net.Listener

	limit int

	mu            sync.Mutex
	open          map[string]int // by generation
	begun         map[string]int
	most, refused int
}

// startDatabase serves until the end of the test.
func startDatabase(t *testing.T, limit int) *database {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	db := &database{Listener: ln, limit: limit, open: make(map[string]int), begun: make(map[string]int)}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { db.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); all.Wait() }) // the daemon, which ends before, has the connections
	return db
}

// serve answers each line. The first one is the generation.
func (db *database) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	lines := bufio.NewScanner(conn)
	if !lines.Scan() {
		return
	}
	generation := lines.Text()
	if !db.begin(generation) {
		_, _ = fmt.Fprintln(conn, "too many connections")
		return
	}
	defer db.end(generation)
	for ok := true; ok; ok = lines.Scan() {
		_, _ = fmt.Fprintln(conn, "ok")
	}
}

func (db *database) begin(generation string) bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	sum := 1
	for _, n := range db.open {
		sum += n
	}
	if sum > db.limit {
		db.refused++
		return false
	}
	db.most = max(db.most, sum)
	db.open[generation]++
	db.begun[generation]++
	return true
}

func (db *database) end(generation string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.open[generation]--
}

// count returns how many connections a generation has, and how many it has begun.
func (db *database) count(generation string) (open, begun int) {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.open[generation], db.begun[generation]
}

func startWithPool(t *testing.T, db *database, connections int) *daemon.Daemon {
	t.Helper()
	d := prepareOverlapping(t, "pool", lineGroup)
	d.Env = append(d.Env, "OVERLAPPING_DATABASE="+db.Addr().String(), fmt.Sprintf("OVERLAPPING_CONNECTIONS=%d", connections))
	start(t, d)
	return d
}

// TestPoolOfAll has a pool that may have all connections of the database: while the old generation has them the new one gets none.
func TestPoolOfAll(t *testing.T) {
	t.Parallel()
	db := startDatabase(t, 8)
	d := startWithPool(t, db, 8)
	wantSaid(t, dialLine(t, d), "take")
	daemontest.Upgrade(t, d)
	if n, answer := say(t, dialLine(t, d), "query"); n != 2 || answer != "error: too many connections" {
		t.Errorf("generation %d answers %q, want that there are too many connections", n, answer)
	}
}

// TestPoolOfHalf has one that may have half of them: generation 1 has all of these in use, and its successor too. Idle ones are closed when a
// generation is replaced, and kept again when it serves again.
func TestPoolOfHalf(t *testing.T) {
	t.Parallel()
	db := startDatabase(t, 8)
	d := startWithPool(t, db, 4)
	one := dialLine(t, d)
	wantSaid(t, one, "take")
	daemontest.Upgrade(t, d)
	two := dialLine(t, d)
	wantSaid(t, two, "take")
	wantSaid(t, one, "give")
	daemontest.Await(t, "generation 1 without connections", func() bool { n, _ := db.count("1"); return n == 0 })
	wantSaid(t, two, "give")
	strike(t, d, syscall.SIGKILL)
	awaitServing(t, d, 1)
	for range 2 { // the second time they are there
		wantSaid(t, one, "take")
		wantSaid(t, one, "give")
	}
	if open, begun := db.count("1"); open != 4 || begun != 8 {
		t.Errorf("generation 1 has %d connections, and has begun %d, want 4 and 8", open, begun)
	}
	k := startTalk(t, d, "query")
	for range 5 {
		k.more(t)
		daemontest.Upgrade(t, d)
	}
	k.more(t)
	k.end()
	db.mu.Lock()
	defer db.mu.Unlock()
	t.Logf("%d connections at the most", db.most)
	if db.refused > 0 {
		t.Errorf("%d connections were refused", db.refused)
	}
}
