package programs

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/binaries"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// chatTimeout bounds whatever a user waits for.
const chatTimeout = 30 * time.Second

// chatter is a user of examples/chat. Its methods are for one goroutine.
type chatter struct {
	nick  string
	conn  net.Conn
	lines chan string // what comes, until the end
	said  int
	heard map[string]int // how many lines of everybody, which are numbered
	last  string         // the server's own last line
}

// joinChat connects a user and brings him into a room.
func joinChat(t *testing.T, door chatDoor, nick, room string) *chatter {
	t.Helper()
	conn, err := door()
	if err != nil {
		t.Fatal(err)
	}
	// There is room for all that he hears while the test does something else.
	c := &chatter{nick: nick, conn: conn, lines: make(chan string, 1<<16), heard: make(map[string]int)}
	go c.receive()
	t.Cleanup(func() {
		_ = conn.Close()
		for range c.lines { // until its end
		}
	})
	c.must(t, c.send("/nick "+nick+"\n/join "+room+"\n"))
	c.must(t, c.readUntil(func() bool { return c.last == fmt.Sprintf("* %s is in %s", nick, room) }))
	return c
}

func (c *chatter) receive() {
	defer close(c.lines)
	for lines := bufio.NewScanner(c.conn); lines.Scan(); {
		c.lines <- lines.Text()
	}
}

func (c *chatter) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", c.nick, err)
	}
}

func (c *chatter) send(text string) error {
	_ = c.conn.SetWriteDeadline(time.Now().Add(chatTimeout))
	_, err := c.conn.Write([]byte(text))
	return err
}

// readUntil reads lines until done. What others say has to be numbered without a
// gap.
func (c *chatter) readUntil(done func() bool) error {
	timeout := time.After(chatTimeout)
	for !done() {
		select {
		case line, ok := <-c.lines:
			if !ok {
				return errors.New("disconnected")
			}
			if err := c.note(line); err != nil {
				return err
			}
		case <-timeout:
			return fmt.Errorf("not within %v; the last answer is %q", chatTimeout, c.last)
		}
	}
	return nil
}

func (c *chatter) note(line string) error {
	if strings.HasPrefix(line, "* ") {
		c.last = line
		return nil
	}
	nick, text, _ := strings.Cut(line, ": ")
	c.heard[nick]++
	if want := fmt.Sprintf("line %d", c.heard[nick]); text != want {
		return fmt.Errorf("%s says %q, want %q", nick, text, want)
	}
	return nil
}

// say says the next line, and reads until it has come back.
func (c *chatter) say() error {
	if err := c.begin(); err != nil {
		return err
	}
	return c.end()
}

// begin types half of the next line, and end the rest.
func (c *chatter) begin() error { return c.send("li") }

func (c *chatter) end() error {
	c.said++
	if err := c.send(fmt.Sprintf("ne %d\n", c.said)); err != nil {
		return err
	}
	return c.readUntil(func() bool { return c.heard[c.nick] == c.said })
}

// talk says a line every now and then, until stop is closed.
func (c *chatter) talk(stop <-chan struct{}) error {
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := c.say(); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-stop:
			return nil
		}
	}
}

// ask gives a command and returns its answer, which begins with prefix.
func (c *chatter) ask(t *testing.T, command, prefix string) string {
	t.Helper()
	c.last = ""
	c.must(t, c.send(command+"\n"))
	c.must(t, c.readUntil(func() bool { return strings.HasPrefix(c.last, prefix) }))
	return c.last
}

func (c *chatter) wantWho(t *testing.T, room string, nicks ...string) {
	t.Helper()
	want := fmt.Sprintf("* in %s: %s", room, strings.Join(nicks, " "))
	if got := c.ask(t, "/who", "* in "); got != want {
		t.Errorf("%s: /who answers %q, want %q", c.nick, got, want)
	}
}

// wantStats wants the server to have counted what the client has.
func (c *chatter) wantStats(t *testing.T, moved, generation int) {
	t.Helper()
	got := c.ask(t, "/stats", "* "+c.nick+": ")
	others := -c.heard[c.nick]
	for _, n := range c.heard {
		others += n
	}
	want := fmt.Sprintf("* %s: said %d, heard %d, moved %d, generation %d", c.nick, c.said, others, moved, generation)
	if got != want {
		t.Errorf("/stats answers %q, want %q", got, want)
	}
}

// startChat starts a daemon of the program. These tests wait for the end of many
// processes, which the race detector delays by a second each if it is not told.
func startChat(t *testing.T, program, listen string) *daemon.Daemon {
	t.Helper()
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	d := daemontest.Prepare(t, program, "[chat]\nmode tcp\nlisten "+listen+"\n[web]\nmode http\nlisten "+strings.Replace(listen, "x.", "w.", 1)+
		"\n"+daemontest.SecureGroup+"move_tls yes\n")
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// waitMoved waits until the users of a generation have moved.
func waitMoved(t *testing.T, d *daemon.Daemon, generation int) {
	t.Helper()
	daemontest.AwaitMoved(t, d, generation, "chat", "web", "secure")
}

// TestChatOverManyUpgrades has the users of two rooms talk while the daemon is
// upgraded. All of them hear every line of their room once and in order, whichever
// generation its speaker is in, and nobody is disconnected.
func TestChatOverManyUpgrades(t *testing.T) {
	const upgrades = 6
	for _, tt := range []struct {
		listen string
		groups []string // by which users come
	}{
		{"127.0.0.1:0", []string{"chat"}},
		{"unix:x.sock", []string{"chat"}},
		{"unix:x.sock", []string{"web", "secure", "chat"}},
	} {
		t.Run(tt.listen+" "+strings.Join(tt.groups, " "), func(t *testing.T) {
			d := startChat(t, binaries.Chat(t), tt.listen)
			var doors []chatDoor
			for _, group := range tt.groups {
				doors = append(doors, openDoor(t, d, group))
			}
			first, second := enterRoom(t, doors, "go"), enterRoom(t, doors, "c")
			for n := range upgrades {
				first.typist.must(t, first.typist.begin())
				second.typist.must(t, second.typist.begin())
				daemontest.Upgrade(t, d)
				first.wantAll(t) // some may be on their way
				second.wantAll(t)
				waitMoved(t, d, n+1)
				first.wantMoved(t, n+1)
				second.wantMoved(t, n+1)
			}
			first.finish(t, upgrades)
			second.finish(t, upgrades)
		})
	}
}

// chatRoom is a room whose users talk, but for one who asks and one who is typing
// one line during each upgrade.
type chatRoom struct {
	name             string
	observer, typist *chatter
	talkers          []*chatter
	nicks            []string // of all, sorted
	end              func()   // has the talkers stop, and waits
}

func enterRoom(t *testing.T, doors []chatDoor, name string) *chatRoom {
	t.Helper()
	r := &chatRoom{name: name, observer: joinChat(t, doors[0], "an-observer", name), nicks: []string{"an-observer"}}
	for i := range 4 {
		nick := fmt.Sprint("talker", i)
		r.talkers = append(r.talkers, joinChat(t, doors[i%len(doors)], nick, name))
		r.nicks = append(r.nicks, nick)
	}
	r.typist = joinChat(t, doors[len(doors)-1], "typist", name)
	r.nicks = append(r.nicks, "typist")

	stop := make(chan struct{})
	var talking sync.WaitGroup
	for _, c := range r.talkers {
		talking.Go(func() {
			if err := c.talk(stop); err != nil {
				t.Errorf("%s in %s: %v", c.nick, name, err)
			}
		})
	}
	r.end = sync.OnceFunc(func() {
		close(stop)
		talking.Wait()
	})
	t.Cleanup(r.end)
	return r
}

func (r *chatRoom) wantAll(t *testing.T) {
	t.Helper()
	r.observer.wantWho(t, r.name, r.nicks...)
}

// wantMoved wants the observer and the typist to be in the newest generation, with
// half a line.
func (r *chatRoom) wantMoved(t *testing.T, upgrades int) {
	t.Helper()
	r.typist.must(t, r.typist.end())
	r.typist.wantStats(t, upgrades, upgrades+1)
	r.observer.wantStats(t, upgrades, upgrades+1)
	r.wantAll(t)
}

// finish wants everybody to have heard everything.
func (r *chatRoom) finish(t *testing.T, upgrades int) {
	t.Helper()
	r.end()
	all := append([]*chatter{r.observer, r.typist}, r.talkers...)
	for _, c := range all {
		c.wantStats(t, upgrades, upgrades+1)
		for _, other := range all {
			if c.heard[other.nick] != other.said || other != r.observer && other.said < upgrades {
				t.Errorf("%s has heard %d lines of %s, who has said %d", c.nick, c.heard[other.nick], other.nick, other.said)
			}
		}
	}
}

// TestChatStateOfOtherVersion replaces a program by a newer one, whose states know
// more, and goes back again. The users keep what both know.
func TestChatStateOfOtherVersion(t *testing.T) {
	d := startChat(t, binaries.Chat1(t), "127.0.0.1:0")
	to := openDoor(t, d, "chat")
	ann, bob := joinChat(t, to, "ann", "go"), joinChat(t, to, "bob", "go")
	for n, program := range []string{binaries.Chat(t), binaries.Chat(t), binaries.Chat1(t), binaries.Chat(t)} {
		for _, c := range []*chatter{ann, bob} {
			c.must(t, c.say())
			c.must(t, c.begin())
		}
		if err := daemon.Install(program, d.Binary); err != nil {
			t.Fatal(err)
		}
		daemontest.Upgrade(t, d)
		waitMoved(t, d, n+1)
		for _, c := range []*chatter{ann, bob} { // version 1 does not say who is on his way
			c.must(t, c.end())
		}
		for _, c := range []*chatter{ann, bob} {
			c.wantWho(t, "go", "ann", "bob")
			want := fmt.Sprintf("* %s: said %d, ", c.nick, c.said)
			got := c.ask(t, "/stats", "* "+c.nick+": ")
			if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, fmt.Sprintf(", generation %d", n+2)) {
				t.Errorf("/stats answers %q, want %q of generation %d", got, want, n+2)
			}
		}
	}
}
