package main

import (
	"os/exec"
	"testing"

	"github.com/spf13/cobra"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
)

// An upgrade that a stop has cut short is no sign that what is new has failed.
func TestAdviceAfterAStop(t *testing.T) {
	a := new(app)
	err := upgrading{app: a}.upgradeFailed(1, &client.UpgradeError{PID: 1, Reason: "asked to end"})
	if got := a.advice(&cobra.Command{Use: "upgrade"}, err); got != "" {
		t.Errorf("advice = %q, want none", got)
	}
}

// What is advised is one word for a shell, whoever has made it up.
func TestWord(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	for _, path := range []string{"/etc/app.conf", "", "-c", "a b", "/etc/app.conf; echo oh #", "it's", "$(echo oh)", "`echo oh`", "a\nb", "ü\\", "*", "~"} {
		out, err := exec.CommandContext(t.Context(), sh, "-c", "printf '[%s]' "+word(path)).Output()
		if err != nil || string(out) != "["+path+"]" {
			t.Errorf("a shell makes %q of %s for %q, %v", out, word(path), path, err)
		}
	}
	if got := word("/run/app-1.pid"); got != "/run/app-1.pid" {
		t.Errorf("word = %s, want it as it is", got)
	}
}
