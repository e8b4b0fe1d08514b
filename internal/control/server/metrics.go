package server

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/control/protocol"
)

// WriteMetrics writes what the generation that answers says of itself in the
// Prometheus text format, version 0.0.4. Counters of connections begin with the process, as
// Prometheus expects when one is replaced; those of upgrades with generation 1. Errors
// are those of w, and lost.
func WriteMetrics(w io.Writer, s *protocol.Status) {
	m := metrics{w}
	m.family("gozd_generation", "gauge", "Number of this process in the line of generations, from 1.")
	m.sample("gozd_generation", float64(s.Generation))
	for _, g := range s.Generations {
		if g.Generation == s.Generation {
			m.build(&g)
			m.groups(g.Groups)
		}
	}
	m.upgrades(&s.Upgrades)
}

// metrics writes families of samples.
type metrics struct{ w io.Writer }

// family begins one. help is one line without backslashes.
func (m metrics) family(name, kind, help string) {
	_, _ = fmt.Fprintf(m.w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// sample writes one; labels are names and values by turns.
func (m metrics) sample(name string, value float64, labels ...string) {
	var set strings.Builder
	for i := 0; i < len(labels); i += 2 {
		if i > 0 {
			set.WriteByte(',')
		}
		set.WriteString(labels[i] + `="` + escape.Replace(labels[i+1]) + `"`)
	}
	text := set.String()
	if text != "" {
		text = "{" + text + "}"
	}
	_, _ = fmt.Fprintf(m.w, "%s%s %s\n", name, text, strconv.FormatFloat(value, 'g', -1, 64))
}

// escape does what the format asks of a label's value.
var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func (m metrics) build(g *protocol.Generation) {
	m.family("gozd_build_info", "gauge", "The binary of this process; the value is always 1.")
	m.sample("gozd_build_info", 1, "module", g.Build.Module, "version", g.Build.Version,
		"revision", g.Build.Revision, "goversion", g.Build.Go)
	m.family("gozd_state", "gauge", "Where this generation is in its life: 1 for the state in which it is.")
	for _, state := range []protocol.State{protocol.Probation, protocol.Serving, protocol.Draining} {
		value := 0.0
		if state == g.State {
			value = 1
		}
		m.sample("gozd_state", value, "state", string(state))
	}
}

func (m metrics) groups(groups []protocol.Group) {
	m.family("gozd_connections", "gauge", "Open connections. Parked ones have moved here and not asked anything since.")
	for _, g := range groups {
		m.sample("gozd_connections", float64(g.Open-g.Parked), "group", g.Name, "state", "open")
		m.sample("gozd_connections", float64(g.Parked), "group", g.Name, "state", "parked")
	}
	m.counter(groups, "gozd_accepted_total", "Connections accepted.", func(g *protocol.Group) uint64 { return g.Accepted })
	m.counter(groups, "gozd_moved_in_total", "Connections taken over from an older generation.", func(g *protocol.Group) uint64 { return g.MovedIn })
	m.counter(groups, "gozd_moved_out_total", "Connections given to the next generation.", func(g *protocol.Group) uint64 { return g.MovedOut })
	m.stayed(groups)
	m.counter(groups, "gozd_cut_total", "Connections closed at a deadline.", func(g *protocol.Group) uint64 { return uint64(max(g.Cut, 0)) })
}

// stayed has those reasons that there were.
func (m metrics) stayed(groups []protocol.Group) {
	m.family("gozd_stayed_total", "counter", "Connections that were to move with their keys and could not.")
	for _, g := range groups {
		for _, reason := range slices.Sorted(maps.Keys(g.Stayed)) {
			m.sample("gozd_stayed_total", float64(g.Stayed[reason]), "group", g.Name, "reason", reason)
		}
	}
}

func (m metrics) counter(groups []protocol.Group, name, help string, value func(*protocol.Group) uint64) {
	m.family(name, "counter", help)
	for i := range groups {
		m.sample(name, float64(value(&groups[i])), "group", groups[i].Name)
	}
}

func (m metrics) upgrades(u *protocol.Upgrades) {
	m.family("gozd_upgrades_total", "counter", "Upgrades since generation 1.")
	m.sample("gozd_upgrades_total", float64(u.Succeeded), "outcome", "succeeded")
	m.sample("gozd_upgrades_total", float64(u.Failed), "outcome", "failed")
	if u.LastSeconds != nil {
		m.family("gozd_upgrade_last_seconds", "gauge", "From the request for the last upgrade that succeeded until the new generation served.")
		m.sample("gozd_upgrade_last_seconds", *u.LastSeconds)
	}
}
