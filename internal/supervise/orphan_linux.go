package supervise

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A generation may be killed when it has just started its successor, which carries on alone. That one has not spoken yet, so all
// that is known of it is whose successor it will be. The same is true where this process has stood still while a generation
// was replaced, and its successor as well: what that successor has said comes from a process that is gone, and is not believed.

// expectSuccessor bounds how long one may come: that is what the generation which serves no longer had said that its upgrade may take, but
// not for ever.
func (p *processes) expectSuccessor() {
	if p.generations.lost != nil {
		p.tooLate = time.After(min(p.generations.within, maxWithin))
	}
}

// awaitsSuccessor reports whether one may still come. Once the daemon is to end it is not awaited: no signal can be passed on to it,
// and the end of this process has it end, too.
func (p *processes) awaitsSuccessor() bool {
	lost := p.generations.lost
	if lost == nil || p.generations.ending() {
		return false
	}
	if p.mayHaveSuccessor(lost) {
		return true
	}
	p.generations.lost = nil
	return false
}

// mayHaveSuccessor reports whether a process lives that could be the successor of a generation that serves no longer. It or a script before it is
// an orphan then, which this process has adopted. What else the program has started may be taken for it, until time is over.
//
// The kernel's list of this process's children answers at once where there is one; but it may leave out some while others end
// (proc_pid_task(5), children), and so only a look at all processes says that there is none. The service's user may have started very many, which
// takes seconds: a signal that has come ends the look, and there may be one.
func (p *processes) mayHaveSuccessor(lost *generation) bool {
	isOne := func(pid int) bool { return len(p.signals) > 0 || p.isOrphan(pid) && p.mayFollow(pid, lost) }
	return slices.ContainsFunc(children(), isOne) || anyProcess(isOne)
}

func (p *processes) isOrphan(pid int) bool {
	if p.generations.find(pid) != nil {
		return false
	}
	k, err := readKin(pid)
	return err == nil && k.parent == os.Getpid()
}

func (p *processes) mayFollow(pid int, lost *generation) bool {
	_, err := p.mayBeSuccessor(pid, lost)
	return err == nil
}

// children are this process's, by the lists of its threads, which are few.
func children() (pids []int) {
	lists, _ := filepath.Glob("/proc/self/task/[0-9]*/children") // the pattern is good
	for _, list := range lists {
		text, _ := os.ReadFile(list) // a thread that has ended has none
		for field := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// anyProcess asks of all processes, until the answer is yes.
func anyProcess(is func(pid int) bool) bool {
	const atOnce = 256
	dir, err := os.Open("/proc")
	if err != nil {
		return false
	}
	defer func() { _ = dir.Close() }()
	for {
		names, err := dir.Readdirnames(atOnce)
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil && is(pid) {
				return true
			}
		}
		if err != nil {
			return false
		}
	}
}
