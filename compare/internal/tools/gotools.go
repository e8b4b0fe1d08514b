//go:build linux

package tools

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

var restart = Tool{
	Name: "kill and restart", Kinds: All, program: "restart",
	How:   "net/http alone. TERM, and as soon as the process is gone the program is started again.",
	start: func(ctx context.Context, e *Env, d *Daemon) error { return startKilled(ctx, e, d, "restart") },
}

func startKilled(ctx context.Context, e *Env, d *Daemon, program string) error {
	binary, err := e.build(ctx, program)
	if err != nil {
		return err
	}
	if err := d.addresses(); err != nil {
		return err
	}
	d.Version = "net/http of " + runtime.Version()
	flags := d.flags(e)
	start := func() (err error) {
		d.started, err = d.launch(nil, binary, flags...)
		return err
	}
	d.upgrade = func(ctx context.Context, _ string) error {
		if err := d.end(ctx); err != nil {
			return err
		}
		return start()
	}
	return start()
}

func (d *Daemon) flags(e *Env) []string {
	return []string{"-http", d.HTTP, "-https", d.TLS, "-cert", e.Cert, "-key", e.Key}
}

// end ends the process that serves by TERM, and waits for that as a service manager does.
func (d *Daemon) end(ctx context.Context) error {
	if err := syscall.Kill(d.started, syscall.SIGTERM); err != nil {
		return fmt.Errorf("TERM to %d: %w", d.started, err)
	}
	for !gone(d.started) {
		if ctx.Err() != nil {
			return fmt.Errorf("process %d does not end: %w", d.started, context.Cause(ctx))
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// startSignalled starts a program whose serving process starts the next one when it gets a signal.
func startSignalled(e *Env, d *Daemon, binary string, signal syscall.Signal) error {
	if err := d.addresses(); err != nil {
		return err
	}
	d.upgrade = signalServing(signal)
	var err error
	d.started, err = d.launch(nil, binary, d.flags(e)...)
	return err
}

// signalServing sends the signal to whoever serves.
func signalServing(signal syscall.Signal) func(context.Context, string) error {
	return func(_ context.Context, serving string) error {
		pid, err := strconv.Atoi(serving)
		if err != nil {
			return fmt.Errorf("who serves: %w", err)
		}
		return syscall.Kill(pid, signal)
	}
}

var tableflipReadme = Tool{
	Name: "tableflip, README", Kinds: All,
	How: "The program of its README: HUP, and Shutdown in the old process.",
	start: func(ctx context.Context, e *Env, d *Daemon) error {
		return startTableflip(ctx, e, d, "tableflip")
	},
}

var tableflipCareful = Tool{
	Name: "tableflip, careful", Kinds: All,
	How: "HUP. The old process ends by a drain of its own: every answer says \"Connection: close\", " +
		"an idle connection has 2 s to ask for the last time, hijacked ones are waited for, and after 30 s all is cut.",
	start: func(ctx context.Context, e *Env, d *Daemon) error {
		return startTableflip(ctx, e, d, "careful")
	},
}

func startTableflip(ctx context.Context, e *Env, d *Daemon, program string) error {
	binary, err := e.build(ctx, program)
	if err != nil {
		return err
	}
	d.Version = "v1.2.3"
	return startSignalled(e, d, binary, syscall.SIGHUP)
}

// StrayTERM is true while endless runs. Each of its two servers sends TERM to its parent; where the first has ended the old process,
// the second sends it to whoever has adopted the new one, which is this process.
var StrayTERM atomic.Bool

var endless = Tool{
	Name: "endless", Kinds: All,
	How: "As in its examples, with two servers. HUP; the new process tells the old one to end.",
	start: func(ctx context.Context, e *Env, d *Daemon) error {
		binary, err := e.buildApart(ctx, "endless", nil)
		if err != nil {
			return err
		}
		d.Version = "v0.0.0-20170109170031-447134032cb6"
		StrayTERM.Store(true)
		d.resources = append(d.resources, func() { StrayTERM.Store(false) })
		return startSignalled(e, d, binary, syscall.SIGHUP)
	},
}

var overseer = Tool{
	Name: "overseer", Kinds: All,
	How: "The program of its README, with two addresses and without a fetcher. USR2 to its main process.",
	start: func(ctx context.Context, e *Env, d *Daemon) error {
		binary, err := e.buildApart(ctx, "overseer", nil)
		if err != nil {
			return err
		}
		d.Version = "v1.1.6"
		err = startSignalled(e, d, binary, syscall.SIGUSR2)
		master := d.started
		d.stays = func() []int { return []int{master} }
		d.upgrade = func(context.Context, string) error { return syscall.Kill(master, syscall.SIGUSR2) }
		return err
	},
}

var socketActivation = Tool{
	Name: "socket activation", Kinds: All,
	How: "compare holds the listening sockets, as systemd would, and starts the service with them: TERM, " +
		"at which the service does Shutdown with 30 s, and when it is gone the next one. There is no real systemd in it, " +
		"which would take a few ms more.",
	start: func(ctx context.Context, e *Env, d *Daemon) error {
		binary, err := e.build(ctx, "socket")
		if err != nil {
			return err
		}
		d.Version = "net/http of " + runtime.Version()
		var files []*os.File
		for _, address := range []*string{&d.HTTP, &d.TLS} {
			file, at, err := listening()
			if err != nil {
				return err
			}
			d.resources = append(d.resources, func() { _ = file.Close() })
			files, *address = append(files, file), at
		}
		start := func() (err error) {
			d.started, err = d.launch(files, binary, d.flags(e)...)
			return err
		}
		d.upgrade = func(ctx context.Context, _ string) error {
			if err := d.end(ctx); err != nil {
				return err
			}
			return start()
		}
		return start()
	},
}

// listening returns a listening socket and its address.
func listening() (*os.File, string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	file, err := ln.(*net.TCPListener).File()
	address := ln.Addr().String()
	_ = ln.Close() // the file is another descriptor of the same socket
	return file, address, err
}

var gozd = Tool{
	Name: "gozd", Kinds: All, program: "gozd",
	How: "The program of its README with two groups, HTTPS with move_tls yes, in the foreground with a supervisor, as under systemd. HUP to the serving process.",
	start: func(ctx context.Context, e *Env, d *Daemon) error {
		if err := d.addresses(); err != nil {
			return err
		}
		return startGozd(ctx, e, d, "gozd", gozdConf(d.HTTP, d.TLS, e, 0))
	},
}

// gozdSection has a supervisor, whatever the place where compare runs looks like.
const gozdSection = "[gozd]\npidfile app.pid\nsupervise yes\n"

func gozdConf(http, https string, e *Env, maxFiles int) string {
	conf := gozdSection
	if maxFiles > 0 {
		conf += fmt.Sprintf("max_files %d\n", maxFiles)
	}
	return conf + fmt.Sprintf("[web]\nmode http\nlisten %s\n[secure]\nmode https\nlisten %s\nkey %s\ncert %s\nmove_tls yes\n",
		http, https, e.Key, e.Cert)
}

func startGozd(ctx context.Context, e *Env, d *Daemon, program, conf string) error {
	binary, err := e.build(ctx, program)
	if err != nil {
		return err
	}
	path := filepath.Join(d.dir, "app.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		return err
	}
	d.Version = e.revision(ctx)
	d.upgrade = signalServing(syscall.SIGHUP)
	d.started, err = d.launch(nil, binary, "-f", "-c", path)
	supervisor := d.started
	d.stays = func() []int { return []int{supervisor} }
	return err
}
