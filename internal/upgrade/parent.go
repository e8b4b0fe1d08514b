package upgrade

import (
	"os"
	"sync"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
)

// parent is what a generation has of the one that has started it. In a first generation it is only a manifest with the number 1.
type parent struct {
	relay    *relay // nil in a first generation
	manifest Manifest
	report   *report.Writer
	knows    chan struct{} // closed when the parent knows how its upgrade went; nil in a first generation
	late     chan struct{} // closed when the parent's patience is over; nil in a first generation
	sockets  held          // those that nobody has taken yet
	behind   *behind       // the channel to the parent, which stands by; nil if it does not
	older    *os.File      // the channel to who stands by behind the parent; nil for nobody

	mu    sync.Mutex // guards files
	files map[string]*os.File
}

// take takes over the files and sockets in the bootstrap message.
func (p *parent) take(l *bootstrapMessage) {
	p.files, p.sockets.fds = l.files, l.sockets.fds
	if p.older = p.file(fileOlder); p.older != nil {
		_, _ = p.older.Write([]byte{saysHeir})
	}
	if f := p.file(fileStandby); f != nil {
		p.behind = openBehind(f)
		p.relay.forget()
		go p.behind.watch()
	}
	if f := p.file(fileReport); f != nil {
		introduce := report.NewWriter
		if l.manifest.checkNamespaces(process.Namespaces()) != nil {
			introduce = report.NewNameless
		}
		p.report = introduce(f)
	}
	if f := p.file(fileAsk); f != nil {
		p.knows, p.late = make(chan struct{}), make(chan struct{})
		go p.watch(f)
	}
}

// file returns a file that the parent has passed on, once.
func (p *parent) file(name string) *os.File {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.files[name]
	delete(p.files, name)
	return f
}

// watch waits for the end of f, which is the parent's knowledge or its own end. A byte
// before that says that it will wait only a moment longer.
func (p *parent) watch(f *os.File) {
	buf := make([]byte, 1)
	for asked := false; ; asked = true {
		if n, err := f.Read(buf); n == 0 || err != nil {
			break
		}
		if !asked {
			close(p.late)
		}
	}
	_ = f.Close()
	close(p.knows)
}

// awaitOutcome waits until the parent knows how its upgrade went, but not longer than it waits itself.
func (p *parent) awaitOutcome() {
	if p.knows == nil {
		return
	}
	timer := time.NewTimer(p.manifest.Timeout) // later it has given up
	defer timer.Stop()
	select {
	case <-p.knows:
	case <-timer.C:
	}
}

// exited is closed when the parent is gone. It is nil in a first generation.
func (p *parent) exited() <-chan struct{} {
	if p.relay == nil {
		return nil
	}
	return p.relay.exited
}

// lives reports whether there is a parent that lives.
func (p *parent) lives() bool {
	if p.relay == nil {
		return false
	}
	select {
	case <-p.relay.exited:
		return false
	default:
		return true
	}
}

// notifyReady tells those who may serve again that this process does, and closes what was inherited and not taken. tableflip has said so
// to the relay before.
func (p *parent) notifyReady() {
	if p.relay == nil {
		return
	}
	if p.behind != nil {
		p.behind.say(saysTookOver)
	} else {
		p.relay.notify()
	}
	p.relay.release()
	p.sockets.close()
	if p.older != nil {
		_, _ = p.older.Write([]byte{saysEndStandby})
		_ = p.older.Close()
	}
}

// kept returns which of the sockets that the parent has passed on are among those.
func (p *parent) kept(now []Socket) []string {
	kept := []string{}
	for _, s := range now {
		if hasSocket(p.manifest.Sockets, s.ID) {
			kept = append(kept, s.ID)
		}
	}
	return kept
}
