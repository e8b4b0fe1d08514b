package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/safepath"
)

// advice is what to do next after an error; empty where the error says it all.
func (a *app) advice(cmd *cobra.Command, err error) string {
	file := a.out.PIDFile
	if moved := (*client.MovedError)(nil); errors.As(err, &moved) {
		return fmt.Sprintf("the daemon is there: gozdctl %s %s", cmd.Name(), word(moved.To))
	}
	if left := (*control.LeftError)(nil); errors.As(err, &left) {
		return leftAdvice(left)
	}
	switch status := statusOf(err); {
	case status == statusUnknown && cmd.GroupID == groupShow:
		return "it may be stopped by a signal, or have no time: look at its process with ps"
	case status == statusUnknown && file != "":
		return fmt.Sprintf("it may still succeed: look with gozdctl status %s", word(file))
	case status == statusPermission:
		return permissionAdvice(file)
	case status == statusNotRunning && cmd.Name() == "logs":
		return "the log of a daemon that has ended is found by its configuration: gozdctl logs -c CONFIG"
	case status == statusNotRunning:
		return notRunningAdvice(file)
	case a.config != "" && cmd.GroupID != groupShow && errors.As(err, new(cfg.Errors)):
		return "if the daemon runs, its PID file does as well as -c"
	case errors.Is(err, client.ErrNoSocket):
		return noSocketAdvice(file)
	case a.out.Upgrade != nil && (a.out.Upgrade.Stage == "refused" || a.out.Upgrade.Stage == ""):
		return "" // the program has said what there is to say, or the daemon has been asked to end: nothing new has failed
	case a.out.Upgrade != nil && isConfigured(a.out.Upgrade.Stage):
		return configAdvice(file)
	case a.out.Upgrade != nil && a.out.Upgrade.Stage == "lost" && !servesElse(err):
		return "start the daemon again: gozdctl start -- PROGRAM ARGUMENTS"
	case errors.As(err, new(*client.UpgradeError)):
		return a.logAdvice(cmd.Context(), file)
	}
	return ""
}

// servesElse reports whether a process serves that has nothing to do with the upgrade.
func servesElse(err error) bool {
	failed := (*client.UpgradeError)(nil)
	return errors.As(err, &failed) && failed.By != 0
}

// leftAdvice is for a daemon that serves no longer: nobody answers for it.
func leftAdvice(left *control.LeftError) string {
	return fmt.Sprintf("it has been asked to end, and may still do so: look at pid %d with ps", left.Processes[0].PID)
}

// permissionAdvice names the user whose daemon it is, as its lock file does.
func permissionAdvice(pidfile string) string {
	if pidfile == "" || os.Geteuid() == 0 {
		return ""
	}
	info, err := safepath.Lstat(process.LockPath(pidfile))
	if err != nil {
		return "ask as root"
	}
	if name := ownerName(info); name != "" && name != "root" {
		return fmt.Sprintf("ask as root, or as user %s", name)
	}
	return "ask as root"
}

func notRunningAdvice(pidfile string) string {
	_, err := process.ReadPID(pidfile)
	switch {
	case pidfile == "":
		return ""
	case errors.Is(err, fs.ErrNotExist):
		return "if it should run, start it with gozdctl start -- PROGRAM ARGUMENTS"
	case err != nil:
		return fmt.Sprintf("if %s is a configuration, say -c %[1]s", word(pidfile))
	}
	return staleAdvice(pidfile)
}

// staleAdvice is for files that are left, of a daemon that does not run, or not by them: its lock file is gone, or its
// configuration has another PID file by now.
func staleAdvice(pidfile string) string {
	const start = "start the daemon with gozdctl start -- PROGRAM ARGUMENTS"
	s, err := process.ReadState(pidfile)
	if err != nil || s.Config == "" {
		return fmt.Sprintf("%s is in nobody's way: %s", pidfile, start)
	}
	if p, err := process.Open(s.PID, s.StartTime); err == nil {
		p.Close()
		return fmt.Sprintf("look at pid %d with ps before you start another", s.PID)
	}
	return fmt.Sprintf("if %s has another pidfile by now, look there with gozdctl status -c %[1]s; else %s is in nobody's way: %s", word(s.Config), pidfile, start)
}

// noSocketAdvice says what can be done without an answer. The PID is that of the process which serves, by the lock
// and the state file: a PID file may name anybody.
func noSocketAdvice(pidfile string) string {
	const logSays = "the daemon's log says why: gozdctl logs -c CONFIG"
	r, err := process.Find(pidfile)
	if err != nil {
		return logSays
	}
	defer r.Close()
	return fmt.Sprintf("%s; kill -HUP %d upgrades, and nobody tells the outcome; kill -TERM %[2]d stops", logSays, r.PID)
}

// logAdvice leads to what the new process has said. Without a log there is nothing that gozdctl could show.
func (a *app) logAdvice(ctx context.Context, pidfile string) string {
	const still = "what has failed is still in place, and the next restart will start it"
	if s, _, err := a.askOwnersStatus(ctx, pidfile); err == nil && s.Log == "" {
		return still + "; the configuration names no log; where systemd runs it, journalctl has all that it has said"
	}
	return fmt.Sprintf("%s; all that it has said is in its log: gozdctl logs %s", still, word(pidfile))
}

// isConfigured reports whether an upgrade has failed where its configuration was to blame.
func isConfigured(stage string) bool { return stage == "configuration" || stage == "listen" }

func configAdvice(pidfile string) string {
	s, err := process.ReadState(pidfile)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("mend it, and look with gozdctl check %s before the next upgrade or restart", word(s.Config))
}

// word is a path as a word for a shell: root may type what is advised, and the daemon's user may have made up the path.
func word(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+,:@%=", r)
	}
	if path != "" && !strings.HasPrefix(path, "-") && !strings.ContainsFunc(path, func(r rune) bool { return !plain(r) }) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
