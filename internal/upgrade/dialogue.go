package upgrade

import (
	"bufio"
	"maps"
	"os"
	"sync/atomic"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fault"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
)

// goneWait is how long a failed successor's end is waited for: it has been
// killed or has ended, and only the kernel's work on it remains.
const goneWait = 5 * time.Second

// reportWait bounds how long the report of a successor that is ready is read.
const reportWait = 10 * time.Second

// dialogue is this process's side of what it and the successor say to each other: the bootstrap message, the
// report, and the pipe by which the successor is asked for its last words and sees that the outcome is known here.
type dialogue struct {
	said     *os.File // the report
	seen     *os.File // see AwaitParent and Late
	outcomes chan report.Outcome
	settled  chan struct{}  // closed when the report has ended, or is read no more
	rest     report.Outcome // what it has said since it was ready; valid then
	standby  *standby       // nil if this process will not stand by

	pid       atomic.Int64 // of the successor; 0 until it has said that
	startTime atomic.Uint64
	onTrial   atomic.Bool // it has begun its probation
}

// tell puts all that the successor must know into the bootstrap channel. An error leaves nothing open.
func (u *Upgrader) tell(prepare func() []peers.Peer, watch Watcher) (*dialogue, error) {
	ancestors := prepare()
	d := &dialogue{outcomes: make(chan report.Outcome, 1), settled: make(chan struct{})}
	pipes, err := d.open(u.opts.standsBy())
	if err != nil {
		return nil, err
	}
	manifest, files := u.message(ancestors)
	maps.Copy(files, pipes)
	err = u.send(manifest, files)
	for _, f := range pipes {
		_ = f.Close() // the copy in the bootstrap channel is the successor's
	}
	if err != nil {
		u.bootstrap.empty()
		d.standby.resign()
		_, _ = d.said.Close(), d.seen.Close()
		return nil, err
	}
	go d.read(d.identify(watch))
	fault.At(fault.Told)
	return d, nil
}

// send sends the bootstrap message, with the listening sockets.
func (u *Upgrader) send(manifest Manifest, files map[string]*os.File) error {
	u.held.mu.Lock()
	defer u.held.mu.Unlock()
	return u.bootstrap.send(manifest, files, u.held.fds)
}

// Watcher is told what the successor says while it starts. Each of the functions may be nil.
type Watcher struct {
	Started   func(pid int, startTime uint64)    // it runs; a start time of 0 is unknown
	Probation func(pid int, lasts time.Duration) // it serves on probation
}

// identify is watch, and notes which process the successor is.
func (d *dialogue) identify(watch Watcher) report.Watcher {
	started := func(pid int) {
		start, _ := process.StartTime(pid) // 0 is a valid answer: unknown
		d.startTime.Store(start)
		d.pid.Store(int64(pid))
		if watch.Started != nil {
			watch.Started(pid, start)
		}
	}
	probation := func(pid int, lasts time.Duration) {
		d.onTrial.Store(true)
		if watch.Probation != nil {
			watch.Probation(pid, lasts)
		}
	}
	return report.Watcher{Started: started, Probation: probation}
}

// open makes the pipes, and returns the successor's ends by their names in the bootstrap message.
func (d *dialogue) open(standBy bool) (map[string]*os.File, error) {
	said, tell, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	look, seen, err := os.Pipe()
	if err != nil {
		_, _ = said.Close(), tell.Close()
		return nil, err
	}
	theirs := map[string]*os.File{fileSaid: tell, fileSeen: look}
	if standBy {
		if d.standby, err = newStandby(); err != nil {
			_, _, _, _ = said.Close(), tell.Close(), look.Close(), seen.Close()
			return nil, err
		}
		theirs[fileStandby] = d.standby.theirs
	}
	d.said, d.seen = said, seen
	return theirs, nil
}

// read reads the report: what there is to be known of the upgrade, and then to its end, which is when the
// successor has told everybody else too, or is gone.
func (d *dialogue) read(watch report.Watcher) {
	lines := bufio.NewReaderSize(d.said, 4<<10) // that of report.Follow: what it has read ahead is not lost
	d.outcomes <- report.Follow(lines, watch)
	d.rest = report.Read(lines)
	_ = d.said.Close()
	close(d.settled)
}

// lastWords waits until the failed process has closed its report, which it does
// at the latest by ending.
func (d *dialogue) lastWords() report.Outcome {
	d.limit(time.Now().Add(goneWait))
	return <-d.outcomes
}

// words returns what a successor that is ready has said before. Only a program that has never opened
// its bootstrap message has not.
func (d *dialogue) words() report.Outcome {
	d.limit(time.Now().Add(reportWait))
	return <-d.outcomes
}

func (d *dialogue) limit(deadline time.Time) { _ = d.said.SetReadDeadline(deadline) }

// askWhy has a successor that is not ready say why, and end.
func (d *dialogue) askWhy() {
	_ = d.seen.SetWriteDeadline(time.Now()) // a byte fits into the pipe, unless somebody has filled it
	_, _ = d.seen.Write([]byte{1})          // or it has ended
}

// end has the successor know that the outcome is known.
func (d *dialogue) end() { _ = d.seen.Close() }
