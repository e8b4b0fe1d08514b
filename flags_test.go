package gozd

import (
	"flag"
	"strings"
	"testing"
)

func TestFlagsOfAProgram(t *testing.T) {
	fs := flag.NewFlagSet("app", flag.ContinueOnError)
	own := fs.String("name", "", "the program's own")
	a := new(arguments)
	if err := a.define(fs, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := fs.Parse([]string{"-s", "reload", "-name", "x", "-v"}); err != nil {
		t.Fatal(err)
	}
	if err := a.check("flag -s"); err != nil || a.command != "reload" || !a.verbose || a.config != DefaultConfig || *own != "x" {
		t.Errorf("parsed %+v, %v, own %q", a, err, *own)
	}
	a.command = "restart"
	if err := a.check("flag -s"); err == nil || !strings.Contains(err.Error(), `unknown command "restart": it takes start, stop`) {
		t.Errorf("check of -s restart = %v", err)
	}
	if err := new(arguments).define(fs, Options{}); err == nil || !strings.Contains(err.Error(), "flag -s is the daemon's") {
		t.Errorf("define over a flag of the program = %v", err)
	}
}

func TestCommandOfAProgram(t *testing.T) {
	opts := Options{Config: "its.conf"}
	for c, want := range map[Command]arguments{
		{}:                                 {command: "start", config: "its.conf"},
		{Action: "stop", Config: "x.conf"}: {command: "stop", config: "x.conf"},
		{Foreground: true, Verbose: true, Check: true}: {command: "start", config: "its.conf", foreground: true, verbose: true, test: true},
	} {
		if a, err := c.arguments(opts); err != nil || *a != want {
			t.Errorf("%+v is %+v, %v, want %+v", c, a, err, want)
		}
	}
	if _, err := (Command{Action: "restart"}).arguments(opts); err == nil || !strings.Contains(err.Error(), `Action: unknown command "restart": it takes start, stop`) {
		t.Errorf("of Action restart: %v", err)
	}
	for arg, want := range map[string]string{"stop": "did you mean -s stop?", "serve": "calls gozd.Run"} {
		if err := leftOver(arg); !strings.Contains(err.Error(), want) {
			t.Errorf("left over %s: %v, want %q", arg, err, want)
		}
	}
}
