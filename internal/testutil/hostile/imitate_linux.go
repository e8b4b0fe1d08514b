package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/process"
)

// imitate has all files of a daemon, and answers on its control socket. A file that is there
// already is left alone: that is how it differs from a daemon. It does not end by a signal.
func imitate(args []string) error {
	flags := newFlags("daemon")
	answer := flags.String("answer", "silence", "what the control socket says: `kind` silence, garbage, endless, escape, linger, log or none")
	log := flags.String("log", "", "the `path` of the log that the answer log names")
	_ = flags.Parse(args)
	pidfile := flags.Arg(0)
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2)
	if err := lockAndWrite(pidfile); err != nil {
		return err
	}
	answers["log"] = func(c net.Conn) {
		_ = http.Serve(&once{conn: c}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(protocol.Status{PIDFile: pidfile, Config: "app.conf", Log: *log, Generation: 1})
		}))
	}
	if *answer != "none" {
		if err := listenControl(protocol.SocketPath(pidfile, os.Getpid()), *answer); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	<-over()
	return nil
}

func lockAndWrite(pidfile string) error {
	lock, err := os.OpenFile(process.LockPath(pidfile), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		held = append(held, lock)
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil && !os.IsExist(err) {
		return err
	}
	start, err := process.StartTime(os.Getpid())
	if err != nil {
		return err
	}
	state, err := json.Marshal(map[string]any{
		"pid": os.Getpid(), "start_time": start, "generation": 1, "since": time.Now(), "binary": "/bin/true",
		"listen": map[string]string{}, "control": true, "upgrade_wait": "1s", "stop_wait": "1s",
	})
	if err != nil {
		return err
	}
	if err := writeNew(process.StatePath(pidfile), state); err != nil {
		return err
	}
	return writeNew(pidfile, []byte(strconv.Itoa(os.Getpid())+"\n"))
}

func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if os.IsExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return err
}

func listenControl(path, answer string) error {
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go answers[answer](c)
		}
	}()
	return nil
}

// escape moves the cursor home, and sets the terminal's title.
const escape = "\x1b[2J\x1b]0;owned\a\u009b31m\x7f"

// answers are the ways to answer a request.
var answers = map[string]func(net.Conn){
	"silence": func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
	"garbage": func(c net.Conn) { _, _ = io.WriteString(c, strings.Repeat("\x00\xff{", 1000)) },
	"endless": func(c net.Conn) {
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
		for line := strings.Repeat(`{"event":"waiting"}`+"\n", 100); err == nil; {
			_, err = io.WriteString(c, line)
		}
	},
	"linger": answerLingering,
	"escape": func(c net.Conn) { _ = http.Serve(&once{conn: c}, http.HandlerFunc(answerEscape)) },
}

// answerLingering sends descriptors along whose close lasts for an hour.
func answerLingering(c net.Conn) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _ = sendWith(int(fd), nil, "HTTP/1.1 200 OK\r\n", "linger", unix.MSG_NOSIGNAL) })
	_, _ = io.Copy(io.Discard, c)
}

// answerEscape has control characters wherever there is text.
func answerEscape(w http.ResponseWriter, r *http.Request) {
	text, _ := json.Marshal(escape + "\nsecond line") // a string always works
	switch {
	case r.URL.Path == protocol.PathUpgrade:
		_, _ = fmt.Fprintf(w, `{"event":"failed","generation":2,"pid":1,"stage":%[1]s,"error":%[1]s}`, text)
	case r.Method == http.MethodPost:
		w.WriteHeader(http.StatusConflict)
		_, _ = fmt.Fprintf(w, `{"code":%[1]s,"error":%[1]s}`, text)
	default:
		_, _ = fmt.Fprintf(w, `{"pidfile":%[1]s,"config":%[1]s,"log":%[1]s,"generation":1,"generations":[{"generation":1,"pid":%[2]d,
"state":%[1]s,"reason":%[1]s,"binary":%[1]s,"build":{"module":%[1]s,"version":%[1]s,"revision":%[1]s,"go":%[1]s},
"groups":[{"name":%[1]s,"mode":%[1]s,"network":%[1]s,"address":%[1]s}]}],"upgrades":{"failed":1,"last_failure":%[1]s}}`, text, os.Getpid())
	}
}

// once is a listener with one connection.
type once struct{ conn net.Conn }

func (o *once) Accept() (net.Conn, error) {
	if c := o.conn; c != nil {
		o.conn = nil
		return c, nil
	}
	select {}
}
func (o *once) Close() error   { return nil }
func (o *once) Addr() net.Addr { return &net.UnixAddr{} }
