// Command gozdctl is the operator's tool for daemons built with gozd: it asks a
// running daemon, waits, and says what happened. Its exit status can be trusted by
// scripts, service managers and deployments: see gozdctl help exit-status.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process, whatever it is at
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run does what the command line says, and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := newApp(newScreen(stdout, os.Getenv), newScreen(stderr, os.Getenv))
	root := rootCommand(a)
	root.SetArgs(append([]string{}, args...)) // nil would be os.Args
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	return a.finish(cmd, err)
}
