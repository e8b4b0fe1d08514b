//go:build unix

package recipes

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/client"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/daemontest"
)

// recipe is one of the programs.
type recipe struct {
	name   string
	args   []string // if not nil, its own arguments, beside --config
	groups []group
}

// group is what clients do at one of its groups.
type group struct {
	name, mode string
	asks       []session

	// wait, if non-nil, begins a connection on which nothing happens until the generation that has it is gone. later fails unless
	// that has ended as it should, or is answered by the generation.
	wait func(address string) (later func(generation int) error, err error)
}

func webGroup(w web) []group {
	return []group{{"web", "http", []session{w.ask}, w.wait}}
}

func tcpGroup(name string, ask session) []group {
	return []group{{name, "tcp", []session{ask}, nil}}
}

func recipes() []*recipe {
	blue := []string{"-c", "blue"}
	both := web{moves: true}
	proxied := web{header: "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n", rest: ", 192.0.2.1:1000"}
	return []*recipe{
		{"chi", nil, webGroup(web{moves: true})},
		{"gin", nil, webGroup(web{moves: true})},
		{"echo", nil, webGroup(web{moves: true})},
		{"prometheus", nil, webGroup(web{moves: true})},
		{"fasthttp", nil, webGroup(web{})},
		{"fiber", nil, webGroup(web{})},
		{"cobra", blue, webGroup(web{moves: true, rest: ", blue"})},
		{"kong", blue, webGroup(web{moves: true, rest: ", blue"})},
		{"urfave", blue, webGroup(web{moves: true, rest: ", blue"})},
		{"limit", nil, webGroup(web{moves: true})},
		{"proxyproto", nil, []group{{"web", "http", []session{proxied.ask}, nil}}}, // idle ones stay until their next request
		{"cmux", nil, []group{{"both", "http", []session{both.ask, askLines}, both.wait}}},
		{"redcon", nil, tcpGroup("redis", askRedis)},
		{"smtp", nil, tcpGroup("smtp", askSMTP)},
		{"ssh", nil, tcpGroup("ssh", askSSH)},
		{"rpc", nil, tcpGroup("rpc", askRPC)},
		{"mqtt", nil, []group{{"mqtt", "tcp", []session{askMQTT}, waitMQTT}}},
		{"dns", nil, names},
	}
}

var names = []group{{"dns", "tcp", []session{askDNS("tcp")}, waitDNS}, {"dns-udp", "udp", []session{askDNS("udp")}, nil}}

// prepare installs a recipe's program.
func (r *recipe) prepare(t *testing.T) *daemon.Daemon {
	t.Helper()
	conf := ""
	for _, g := range r.groups {
		conf += fmt.Sprintf("[%s]\nmode %s\nlisten 127.0.0.1:0\n", g.name, g.mode)
	}
	d := daemontest.Prepare(t, program(t, r.name), conf)
	if err := writeHostKey(d.Dir); err != nil {
		t.Fatal(err)
	}
	return d
}

func (r *recipe) start(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	if r.args == nil {
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), d.Binary, append(r.args, "--config", d.Conf)...)
	cmd.Dir = d.Dir
	daemontest.Begin(t, d, cmd, false)
}

// TestRecipes upgrades each recipe three times under load: no client fails, and all that has been replaced ends by itself.
func TestRecipes(t *testing.T) {
	for _, r := range recipes() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			d := r.prepare(t)
			r.start(t, d)
			var loads []*load
			var later []func(generation int) error
			for _, g := range r.groups {
				address := daemontest.Target(t, d, g.name).Address
				if g.wait != nil {
					l, err := g.wait(address)
					if err != nil {
						t.Fatal(err)
					}
					later = append(later, l)
				}
				for _, ask := range g.asks {
					l := new(load)
					l.start(t, 3, address, ask)
					loads = append(loads, l)
				}
			}
			const last = 4
			for generation := 1; ; generation++ {
				for _, l := range loads {
					l.await(t, generation)
				}
				if generation == last {
					break
				}
				daemontest.Upgrade(t, d)
			}
			for _, l := range loads {
				l.stop()
			}
			if err := daemontest.WaitAlive(t, d, 1, 2*time.Minute); err != nil {
				t.Error(err)
			}
			for _, l := range later {
				if err := l(last); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// The flags -c and -v are the program's own.
func TestOwnFlags(t *testing.T) {
	for _, name := range []string{"cobra", "kong", "urfave"} {
		output, err := exec.CommandContext(t.Context(), program(t, name), "-v").CombinedOutput()
		if err != nil || !strings.Contains(string(output), "1.2") {
			t.Errorf("%s -v: %s, %v", name, output, err)
		}
	}
}

// TestNames upgrades the DNS server a hundred times, at 5,000 queries a second if the machine is fast enough: each has its answer.
func TestNames(t *testing.T) {
	const clients, perSecond, upgrades = 16, 5000, 100
	r := recipe{"dns", nil, names}
	d := r.prepare(t)
	r.start(t, d)
	udp, tcp := new(load), new(load)
	begin := time.Now()
	udp.start(t, clients, daemontest.Target(t, d, "dns-udp").Address, paced(clients*time.Second/perSecond))
	tcp.start(t, 1, daemontest.Target(t, d, "dns").Address, askDNS("tcp"))
	for generation := 1; ; generation++ {
		udp.await(t, generation)
		tcp.await(t, generation)
		if generation > upgrades {
			break
		}
		upgrade(t, d)
	}
	udp.stop()
	tcp.stop()
	t.Logf("over %d upgrades %d answers by UDP, %.0f a second, and %d by TCP",
		upgrades, udp.total(), float64(udp.total())/time.Since(begin).Seconds(), tcp.total())
}

// upgrade does not wait until the old generation has drained.
func upgrade(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	c, err := client.Dial(t.Context(), d.PIDFile)
	if err == nil {
		_, err = c.Upgrade(t.Context(), client.UpgradeOptions{NoDrain: true}, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}
