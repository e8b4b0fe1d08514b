// Command hostile is what a user does who wants to harm a daemon that root has started, or root
// itself. Tests run it as the daemon's user or as a third one. It says "ready" on standard output
// when it has begun, and what became of it, a line each; most attacks go on until the end of
// standard input.
//
//	hostile speak [-from PID] [-flood] [-with KIND] MESSAGE...  on the generations' channel: descriptor 3, or PID's
//	hostile connect [-with KIND] SOCKET TEXT       to a Unix socket, with descriptors of a kind
//	hostile notify [-flood] [-with KIND] SOCKET TEXT  to a notify socket, with descriptors of a kind
//	hostile daemon [-answer KIND] PIDFILE          has lock, PID file, state file and control socket
//	hostile hold FILE                              tries to lock a file
//	hostile swap A B                               exchanges two names, again and again
//	hostile plant TARGET PATH                      puts a link where something else appears, again and again
//	hostile limit PID N                            lowers a process's limit of descriptors
//	hostile key NAME                               looks for a key in its session keyring
//
// Root must never run it. If it does, a file whose name ends in ".root" beside the program says so.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// attacks are the first argument.
var attacks = map[string]func(args []string) error{
	"speak":   speak,
	"notify":  notify,
	"connect": connect,
	"daemon":  imitate,
	"hold":    hold,
	"swap":    swap,
	"plant":   plant,
	"limit":   limit,
	"trace":   trace,
	"key":     findKey,
}

func main() {
	noteRoot()
	if len(os.Args) < 2 || attacks[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "hostile: unknown attack")
		os.Exit(2)
	}
	if err := attacks[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// noteRoot leaves the proof that root has run this program, and does nothing else then.
func noteRoot() {
	if os.Geteuid() != 0 {
		return
	}
	path, err := os.Readlink("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(path+".root", fmt.Appendf(nil, "uid %d, arguments %q\n", os.Getuid(), os.Args), 0o600)
	}
	fmt.Fprintln(os.Stderr, "hostile: run by root", err)
	os.Exit(1)
}

// newFlags makes the flags of one attack.
func newFlags(name string) *flag.FlagSet { return flag.NewFlagSet(name, flag.ExitOnError) }

// over is closed at the end of standard input.
func over() <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	return ended
}

// repeat does something until standard input ends.
func repeat(do func()) {
	ended := over()
	for {
		select {
		case <-ended:
			return
		default:
			do()
		}
	}
}

func findKey(args []string) error {
	_, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "user", args[0], 0)
	fmt.Println("key:", err)
	return nil
}
