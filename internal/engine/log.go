package engine

import (
	"os"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/logging"
)

// setLogger sets the logger, which says of each line who writes it.
func (e *Engine) setLogger(format config.LogFormat) {
	if e.log == nil {
		e.log = logging.New(logging.Unstuck(os.Stderr), e.hooks.Verbose, format)
	}
	e.log = e.log.With("generation", e.Generation(), "pid", os.Getpid())
	e.life.log = e.log
}

// printFailure says why a process of Daemonize did not become one that serves: to the person who has started
// it, or as a line of the log where standard error is that.
func (e *Engine) printFailure(stage string, err error) {
	hasLog := e.life.log != nil // or the configuration may be what is wrong
	inLog := hasLog && e.conf.Daemon.Log != ""
	if !inLog && (e.up == nil || e.Generation() == 1) {
		logging.PrintError(e.hooks.Verbose, err)
		return
	}
	if !hasLog {
		e.setLogger(config.LogText)
	}
	e.log.Error("start failed", "stage", stage, "error", err)
}
