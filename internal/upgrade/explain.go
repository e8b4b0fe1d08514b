package upgrade

import (
	"errors"
	"fmt"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
)

// explain makes one error of what tableflip saw, what the process said, and what it wrote last to its standard error.
func (a *attempt) explain(ended error, out report.Outcome, wrote string, late bool) *Error {
	e := &Error{Stage: StageStart, PID: out.PID}
	if out.Probation {
		e.Stage = StageProbation
	}
	if out.Error != "" {
		e.Err = errors.New(out.Error)
		if out.Stage != "" {
			e.Stage = out.Stage
		}
		return e
	}
	switch {
	case out.Probation && late:
		e.Err = fmt.Errorf("its probation was not over after %v: %w", a.opts.limit(), ended)
	case late && out.PID == 0: // no gozd in it has said a word
		e.Stage, e.Err = StageReady, fmt.Errorf("not ready after %v: is %s built with gozd? %w", a.opts.timeout(), a.binary, ended)
	case late:
		e.Stage, e.Err = StageReady, fmt.Errorf("not ready after %v: %w", a.opts.timeout(), ended)
	case out.Ready:
		e.Stage, e.Err = StageReady, fmt.Errorf("it was ready and ended before it took over: %w", ended)
	case isCleanExit(ended) && out.Probation:
		e.Err = fmt.Errorf("%w with status 0 before its probation was over", ended)
	case isCleanExit(ended):
		e.Err = fmt.Errorf("%w with status 0 before it was ready", ended)
	case out.PID == 0:
		e.Err = startError(a.binary, ended)
	default:
		e.Err = ended
	}
	e.Err = report.Explain(e.Err, wrote)
	return e
}

// errDied is wrapped by the error of an upgrade whose process has taken over and died.
var errDied = errors.New("died after it had taken over")

// diedError is why a successor serves no longer, in an operator's words.
func diedError(pid int, ended error, crash string) *Error {
	how := crash
	switch {
	case how != "":
	case errors.Is(ended, errWrapper), errors.Is(ended, errWrapperEnded):
		how = ended.Error()
	default:
		how = exitCause(ended)
	}
	return &Error{Stage: StageServing, PID: pid, Err: fmt.Errorf("it %w: %s", errDied, how)}
}
