//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/compare/internal/report"
)

// about says on what machine this is, and what is measured.
func (c *comparison) about(s settings) []report.Note {
	name := "long form"
	if s.short {
		name = "short form"
	}
	run := fmt.Sprintf("%s of %s: %s, up to %d upgrades of each tool under load, until %d s have passed", name, time.Now().UTC().Format(time.DateOnly),
		runs(c.repeats), c.Upgrades, int(c.Budget.Seconds()))
	limits := fmt.Sprintf("a new process has %v to answer, %v while a response is held; an old one is watched for %v", c.ReadyLimit, c.HeldLimit, c.GoneLimit)
	return []report.Note{{About: report.Machine, Text: machine()}, {About: report.Run, Text: run}, {About: report.Run, Text: limits}}
}

func runs(n int) string {
	if n == 1 {
		return "one run"
	}
	return fmt.Sprintf("%d runs", n)
}

func machine() string {
	var u unix.Utsname
	_ = unix.Uname(&u) // it does not fail
	load, _, _ := strings.Cut(read("/proc/loadavg"), " ")
	return fmt.Sprintf("Linux %s, %d processors, %s, load average %s at the start", unix.ByteSliceToString(u.Release[:]), runtime.NumCPU(), runtime.Version(), load)
}

func read(path string) string {
	data, _ := os.ReadFile(path) // what is not there is not told
	return string(data)
}

// unfair is what the figures do not say.
var unfair = []report.Note{
	{About: report.Unfair, Text: "nginx, HAProxy and Caddy are proxies: what they replace is the proxy and not the program behind it, and each request passes two processes. Their memory is that of the proxy, and Caddy replaces no process."},
	{About: report.Unfair, Text: "Caddy's reload is a command that starts first; the time until it is ready contains that. The others get a signal."},
	{About: report.Unfair, Text: "gozd's old process stays for three seconds after each upgrade, to serve again if the new one dies. What else it has to do is done earlier: the table of idle connections has the time until all have moved."},
	{About: report.Unfair, Text: "overseer's old process keeps its clients for 30 s, and upgrades meanwhile touch none of them. The clients run until it has ended, but its losses are divided by all upgrades: a client that meets one upgrade loses up to four times as much in the short form."},
	{About: report.Unfair, Text: "gozd's memory contains its supervisor, overseer's its main process, nginx's and HAProxy's the master. Where a restart replaces the process, there are never two."},
	{About: report.Unfair, Text: "Streams and held responses do not move by themselves. With gozd they stay with the old process for drain_timeout (15 minutes by default), with others until that is cut: after 30 s with tableflip's README and overseer, 60 s with endless. A client that leaves before that does not see it."},
	{About: report.Unfair, Text: "Endless and grace do not know hijacked connections by name; what they do with them follows from how they count connections."},
	{About: report.Unfair, Text: "10 ms of round trip are a pause between the look at the connection and the request. There is no delay on the way, and a real network also has loss."},
	{About: report.Unfair, Text: "Clients and servers share the processors, so latencies contain the clients' own waiting. They can be compared with each other, in one run."},
	{About: report.Unfair, Text: "The end of an old process, and the new one's first answer, are looked for once a millisecond."},
}
