package upgrade

import (
	"bufio"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
)

// goneWait is how long a failed successor's end is waited for: it has been
// killed or has ended, and only the kernel's work on it remains.
const goneWait = 5 * time.Second

// reportWait bounds how long the report of a successor that is ready is read.
const reportWait = 10 * time.Second

// askWait bounds how long a question waits for room in the pipe. A byte fits, unless somebody has filled it. A deadline that is over
// already lets nothing be written at all.
const askWait = time.Second

// dialogue is this process's side of what it and the successor say to each other: the bootstrap message, the
// report, and the pipe by which the successor is asked for its last words and sees that the outcome is known here.
type dialogue struct {
	reports  *os.File // the report
	asks     *os.File // see AwaitParent and Late
	outcomes chan report.Outcome
	reported chan struct{}  // closed when the report has ended, or is read no more
	rest     report.Outcome // what it has said since it was ready; valid then
	standby  *standby       // nil if this process will not stand by

	identified  chan struct{} // closed when the successor has said who it is, or will not
	pid         atomic.Int64  // of the successor; 0 until it has said that
	startTime   atomic.Uint64
	onProbation atomic.Bool // it has begun its probation
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
		close(d.identified)
		if watch.Started != nil {
			watch.Started(pid, start)
		}
	}
	probation := func(pid int, lasts time.Duration) {
		d.onProbation.Store(true)
		if watch.Probation != nil {
			watch.Probation(pid, lasts)
		}
	}
	return report.Watcher{Started: started, Probation: probation}
}

// isGone reports whether the successor's process is no more. It does not where that is not known.
func (d *dialogue) isGone() bool {
	start := d.startTime.Load()
	if start == 0 {
		return false
	}
	p, err := process.Open(int(d.pid.Load()), start)
	if err == nil {
		p.Close()
	}
	return errors.Is(err, os.ErrProcessDone)
}

// isEnding is isGone, and reports also whether the kernel has begun to end it.
func (d *dialogue) isEnding() bool {
	return d.isGone() || d.startTime.Load() != 0 && process.IsEnding(int(d.pid.Load()))
}

// newDialogue makes the channels, and returns the successor's ends of them by their names in the bootstrap message.
func newDialogue(standBy bool) (d *dialogue, theirs map[string]*os.File, err error) {
	reports, notify, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	look, asks, err := os.Pipe()
	if err != nil {
		_, _ = reports.Close(), notify.Close()
		return nil, nil, err
	}
	d = &dialogue{
		reports: reports, asks: asks, outcomes: make(chan report.Outcome, 1), reported: make(chan struct{}), identified: make(chan struct{}),
	}
	theirs = map[string]*os.File{fileReport: notify, fileAsk: look}
	if standBy {
		if d.standby, err = newStandby(); err != nil {
			_, _, _, _ = reports.Close(), notify.Close(), look.Close(), asks.Close()
			return nil, nil, err
		}
		theirs[fileStandby] = d.standby.theirs
	}
	return d, theirs, nil
}

// abandon closes this process's ends, where no successor will be started.
func (d *dialogue) abandon() {
	d.standby.release()
	_, _ = d.reports.Close(), d.asks.Close()
}

// read reads the report: what there is to be known of the upgrade, and then to its end, which is when the
// successor has told everybody else too, or is gone.
func (d *dialogue) read(watch report.Watcher) {
	lines := bufio.NewReaderSize(d.reports, 4<<10) // that of report.Follow: what it has read ahead is not lost
	outcome := report.Follow(lines, watch)
	if outcome.PID == 0 {
		close(d.identified)
	}
	d.outcomes <- outcome
	d.rest = report.Read(lines)
	_ = d.reports.Close()
	close(d.reported)
}

// finalReport waits until the failed process has closed its report, which it does
// at the latest by ending.
func (d *dialogue) finalReport() report.Outcome {
	d.limit(time.Now().Add(goneWait))
	return <-d.outcomes
}

// words returns what a successor that is ready has said before. Only a program that has never opened
// its bootstrap message has not.
func (d *dialogue) words() report.Outcome {
	d.limit(time.Now().Add(reportWait))
	return <-d.outcomes
}

// awaitIdentity waits until all has been read that a successor which has taken over has said before, its PID among that.
func (d *dialogue) awaitIdentity() {
	d.limit(time.Now().Add(reportWait))
	<-d.identified
}

func (d *dialogue) limit(deadline time.Time) { _ = d.reports.SetReadDeadline(deadline) }

// askWhy has a successor that is not ready say why, and end.
func (d *dialogue) askWhy() {
	_ = d.asks.SetWriteDeadline(time.Now().Add(askWait))
	_, _ = d.asks.Write([]byte{1}) // or it has ended
}

// end has the successor know that the outcome is known.
func (d *dialogue) end() { _ = d.asks.Close() }
