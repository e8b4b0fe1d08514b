package supervise

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxGenerations bounds how many generations are watched. It is beyond any number of processes that drain beside each other.
const maxGenerations = 4096

// ownDescriptors are for this process's own work: it looks into /proc, speaks to systemd, and opens the terminal.
const ownDescriptors = 64

// shareDescriptors returns how many descriptors a message may bring, and how many generations can be watched, of which each takes
// one: all that others can have this process hold leaves it ownDescriptors, or half of all where the limit is that low.
func shareDescriptors() (inMessage, generations int) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return maxKept, maxGenerations
	}
	all := int(min(limit.Cur, 2*maxGenerations))
	inMessage = min(maxKept, all/4)
	return inMessage, min(maxGenerations, all-inMessage-min(ownDescriptors, all/2))
}

// processes are those of the generations, each of which is held, so that no other gets its PID.
type processes struct {
	generations *generations
	held        map[int]*watched // by PID
	most        int              // at once
	user        *User            // whom the generations become; nil for nobody
	signals     <-chan os.Signal // a long look ends with one that has come

	ends chan end      // generations that have ended
	done chan struct{} // closed when the daemon has ended

	tooLate <-chan time.Time // when nobody can succeed a generation any more that has ended; nil for never
}

// hold takes note of g, and waits for its end.
func (p *processes) hold(g *generation, w *watched) {
	p.generations.add(g)
	p.held[g.PID] = w
	go w.awaitEnd(g.PID, p.ends, p.done)
}

// release lets go of a process that has ended.
func (p *processes) release(pid int) {
	if w := p.held[pid]; w != nil {
		_ = w.file.Close()
		delete(p.held, pid)
	}
}

// admit takes a process that is not known yet for a generation, or says why it is none. The kernel says which process
// has spoken; all else that it says may be a lie, and any process of the service's user can speak, see doc.go. So the
// serving generation, or one that serves no longer and has no successor yet, must have announced an upgrade, and the process must
// descend from this one and have that generation's user: what that user could signal himself.
func (p *processes) admit(pid int, e Event) error {
	parent := p.generations.parent()
	switch {
	case e.Kind != Starting && e.Kind != Serving && e.Kind != Asking:
		return errors.New("it is no generation")
	case parent == nil:
		return errors.New("no generation is upgrading")
	case e.Generation <= parent.Number:
		return fmt.Errorf("it calls itself generation %d, and generation %d is upgrading", e.Generation, parent.Number)
	case len(p.held) >= p.most:
		return fmt.Errorf("there are %d generations", len(p.held))
	}
	w, err := openProcess(pid, e.StartTime) // from now on its PID cannot become another's
	if err != nil {
		return err
	}
	user, err := p.mayBeSuccessor(pid, parent)
	if err != nil {
		err = w.whyUnseen(pid, err)
		_ = w.file.Close()
		return err
	}
	p.hold(&generation{PID: pid, StartTime: e.StartTime, Number: e.Generation, Phase: isStarting, User: user}, w)
	return nil
}

// mayBeSuccessor looks at what the kernel says of a process that is held, and returns its user.
func (p *processes) mayBeSuccessor(pid int, parent *generation) (user int, err error) {
	child, err := readKin(pid)
	if err != nil {
		return 0, err
	}
	if !p.descends(child) {
		return 0, errors.New("it does not descend from any generation")
	}
	if parent.User != 0 && (child.user != parent.User || child.user == unknownUser) {
		return 0, fmt.Errorf("it is of user %d, and generation %d of user %d", child.user, parent.Number, parent.User)
	}
	return child.user, nil
}

// descends reports whether a process comes from a generation, or from one that has ended: then it is this process's child.
func (p *processes) descends(child kin) bool {
	const deep = 16 // a script or two may be between them
	for range deep {
		if child.parent == os.Getpid() || p.held[child.parent] != nil {
			return true
		}
		var err error
		if child, err = readKin(child.parent); err != nil {
			return false
		}
	}
	return false
}

// noteUser takes note of a generation's user when it serves, since it may have been started as root, and when it announces an
// upgrade. Who is not root becomes no other by himself: where a process is another's since, it has executed a set-user-ID
// program, and is no generation any more.
func (p *processes) noteUser(g *generation) {
	if g.User > 0 {
		return
	}
	if g.Number == 1 && p.user != nil {
		g.User = p.user.UID
		return
	}
	if k, err := readKin(g.PID); err == nil { // else it has ended, and stays what it was
		g.User = k.user
	}
}

// errOtherUser is why a generation is not signalled.
var errOtherUser = errors.New("the process is another user's by now: it has executed another program")

// maySignal refuses what the generation's user could not do himself, if that is known and not root. This process may be root, and
// the generation may have become another's process since it was found to be one.
func (g *generation) maySignal() error {
	if g.User <= 0 {
		return nil
	}
	k, err := readKin(g.PID)
	switch {
	case isHidden(err) && g.User == os.Geteuid():
		return nil // it has ended, or cannot be seen, and the kernel lets this process do no more than that user
	case err == nil && k.real != g.User:
		return errOtherUser
	}
	return err
}

// unknownUser is the user of a process whose IDs are not all the same, and of one that has not been looked at. No process
// is admitted by it.
const unknownUser = -1

// kin is what the kernel says of where a process comes from.
type kin struct {
	parent int
	user   int // all of its user IDs
	real   int // the first of them
}

func readKin(pid int) (kin, error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return kin{}, err
	}
	k := kin{user: unknownUser, real: unknownUser}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		switch fields := strings.Fields(value); name { // a process's own name, in the first line, has no newline here
		case "PPid":
			if k.parent, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return kin{}, fmt.Errorf("%s: %w", path, err)
			}
		case "Uid":
			k.user, k.real = sameID(fields), sameID(fields[:min(len(fields), 1)])
		}
	}
	if k.parent == 0 && pid != 1 {
		return k, fmt.Errorf("%s: its parent cannot be seen", path)
	}
	return k, nil
}

// sameID is the one ID that all of them are.
func sameID(ids []string) int {
	id, err := strconv.Atoi(strings.Join(slices.Compact(ids), " "))
	if err != nil {
		return unknownUser
	}
	return id
}
