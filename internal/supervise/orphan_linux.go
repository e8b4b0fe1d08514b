package supervise

import (
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// A generation may be killed when it has just started its successor, which carries on alone. That one has not spoken yet, so all
// that is known of it is whose successor it will be.

// expectSuccessor bounds how long one may come: that is what the generation which has ended had said that its upgrade may take, but
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

// mayHaveSuccessor reports whether a process lives that could be the successor of a generation that has ended. It or a script before it is
// an orphan then, which this process has adopted. What else the program has started may be taken for it, until time is over.
func (p *processes) mayHaveSuccessor(lost *generation) bool {
	paths, _ := filepath.Glob("/proc/[0-9]*") // the pattern is good
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil || p.generations.find(pid) != nil {
			continue
		}
		if k, err := readKin(pid); err != nil || k.parent != os.Getpid() {
			continue
		}
		if _, err := p.mayBeSuccessor(pid, lost); err == nil {
			return true
		}
	}
	return false
}
