package command

import (
	"flag"
	"strings"
	"testing"
)

func TestFlagsOfAProgram(t *testing.T) {
	fs := flag.NewFlagSet("app", flag.ContinueOnError)
	own := fs.String("name", "", "the program's own")
	a := &Command{Config: "app.conf"}
	if err := a.define(fs); err != nil {
		t.Fatal(err)
	}
	if err := fs.Parse([]string{"-s", "reload", "-name", "x", "-v"}); err != nil {
		t.Fatal(err)
	}
	if err := a.check("flag -s"); err != nil || a.Action != "reload" || !a.Verbose || a.Config != "app.conf" || *own != "x" {
		t.Errorf("parsed %+v, %v, own %q", a, err, *own)
	}
	a.Action = "restart"
	if err := a.check("flag -s"); err == nil || !strings.Contains(err.Error(), `unknown command "restart": it takes start, stop`) {
		t.Errorf("check of -s restart = %v", err)
	}
	if err := new(Command).define(fs); err == nil || !strings.Contains(err.Error(), "flag -s is the daemon's") {
		t.Errorf("define over a flag of the program = %v", err)
	}
}

func TestCommandOfAProgram(t *testing.T) {
	for action, want := range map[string]string{"": "start", "stop": "stop"} {
		if c := (&Command{Action: action}); c.Complete() != nil || c.Action != want {
			t.Errorf("%q is %q, want %q", action, c.Action, want)
		}
	}
	if err := (&Command{Action: "restart"}).Complete(); err == nil || !strings.Contains(err.Error(), `Action: unknown command "restart": it takes start, stop`) {
		t.Errorf("of Action restart: %v", err)
	}
	for arg, want := range map[string]string{"stop": "did you mean -s stop?", "serve": "calls gozd.Run"} {
		if err := leftOver(arg); !strings.Contains(err.Error(), want) {
			t.Errorf("left over %s: %v, want %q", arg, err, want)
		}
	}
}
