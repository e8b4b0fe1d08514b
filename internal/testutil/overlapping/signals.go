package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
)

// returnAtTERM has main return at a SIGTERM.
func returnAtTERM() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	go func() {
		defer stop()
		<-ctx.Done()
		close(returns)
	}()
	return nil
}

// atHUP calls do in a handler of the program's own.
func atHUP(do func()) error {
	hups := make(chan os.Signal, 1)
	signal.Notify(hups, syscall.SIGHUP)
	go func() {
		for range hups {
			do()
		}
	}()
	return nil
}

func noteHUP() error   { return atHUP(func() { _ = note("hups", "%d", gozd.Generation()) }) }
func exitAtHUP() error { return atHUP(func() { os.Exit(3) }) }

func ignoreHUP() error    { signal.Ignore(syscall.SIGHUP); return nil }
func resetSignals() error { signal.Reset(); return nil }
