package main

import (
	"context"
	"errors"
	"log"
	"os/exec"
	"strconv"
	"sync"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

// children are those of this generation that it ends, by when it does.
var children struct {
	sync.Mutex
	all map[string][]*exec.Cmd
}

// startChild starts a program that is ended "at exit", "on replaced", or, for any other word, never, and says its PID. It ends by itself
// with its standard input, which for "with this process" is a pipe of this process.
func startChild(when string) (string, error) {
	cmd := exec.Command("sleep", "600")
	if when == "with this process" {
		cmd = exec.Command("cat")
		if _, err := cmd.StdinPipe(); err != nil { // cmd keeps it open
			return "", err
		}
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	children.Lock()
	defer children.Unlock()
	if children.all == nil {
		children.all = make(map[string][]*exec.Cmd)
	}
	children.all[when] = append(children.all[when], cmd)
	return strconv.Itoa(cmd.Process.Pid), nil
}

func endSomeOnReplaced() {
	gozd.Defaults.OnReplaced = func() { endChildren("on replaced") }
	gozd.Defaults.OnResume = func(context.Context) error { return nil } // clients ask for new ones
}

func endChildren(when string) {
	children.Lock()
	defer children.Unlock()
	for _, cmd := range children.all[when] {
		if err := cmd.Process.Kill(); err != nil {
			log.Print(err)
		}
		_ = cmd.Wait() // it says that it was killed
	}
}

// work has one worker process, which ends with its standard input: when ctx ends, and when this process does, however that comes.
func work(ctx context.Context) {
	worker := exec.CommandContext(ctx, "cat")
	stdin, err := worker.StdinPipe()
	if err != nil {
		log.Fatal(err)
	}
	worker.Cancel = stdin.Close
	if err := worker.Start(); err != nil {
		log.Fatal(err)
	}
	pid := worker.Process.Pid
	if err := note("workers", "%d begins %d", gozd.Generation(), pid); err != nil {
		log.Fatal(err)
	}
	if err := worker.Wait(); !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
	if err := note("workers", "%d ended %d", gozd.Generation(), pid); err != nil {
		log.Fatal(err)
	}
}
