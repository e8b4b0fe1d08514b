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

// WriteMetrics writes what s says in the Prometheus text format, version 0.0.4. What has the label generation is of that process, and
// ends with it. Counters without it are the daemon's, since generation 1. Errors are those of w, and lost.
func WriteMetrics(w io.Writer, s *protocol.Status) {
	m := metrics{w}
	m.family("gozd_generation", "gauge", "Number of the generation that answers, from 1.")
	m.sample("gozd_generation", float64(s.Generation))
	m.generations(s.Generations)
	for _, g := range s.Generations {
		if g.Generation == s.Generation {
			m.totals(g.Groups)
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

// generations writes what each process says of itself.
func (m metrics) generations(all []protocol.Generation) {
	m.family("gozd_build_info", "gauge", "The binary of each generation; the value is always 1.")
	for _, g := range all {
		if g.Build == (protocol.Build{}) {
			continue // it has not answered
		}
		m.sample("gozd_build_info", 1, "generation", number(&g), "module", g.Build.Module, "version", g.Build.Version,
			"revision", g.Build.Revision, "goversion", g.Build.Go)
	}
	m.family("gozd_state", "gauge", "Where each generation is in its life: 1 for the state in which it is.")
	for _, g := range all {
		for _, state := range []protocol.State{protocol.Starting, protocol.Probation, protocol.Serving, protocol.Draining, protocol.Unresponsive} {
			value := 0.0
			if state == g.State {
				value = 1
			}
			m.sample("gozd_state", value, "generation", number(&g), "state", string(state))
		}
	}
	m.family("gozd_connections", "gauge", "Open connections. Parked ones have moved here and not asked anything since.")
	for _, g := range all {
		for _, group := range g.Groups {
			m.sample("gozd_connections", float64(group.Open-group.Parked), "generation", number(&g), "group", group.Name, "state", "open")
			m.sample("gozd_connections", float64(group.Parked), "generation", number(&g), "group", group.Name, "state", "parked")
		}
	}
	m.family("gozd_stayed_total", "counter", "Connections that were to move with their keys and could not, by reasons that there were.")
	for _, g := range all {
		for _, group := range g.Groups {
			for _, reason := range slices.Sorted(maps.Keys(group.Stayed)) {
				m.sample("gozd_stayed_total", float64(group.Stayed[reason]), "generation", number(&g), "group", group.Name, "reason", reason)
			}
		}
	}
}

func number(g *protocol.Generation) string { return strconv.Itoa(g.Generation) }

// totals writes what all generations have counted together.
func (m metrics) totals(groups []protocol.Group) {
	m.counter(groups, "gozd_accepted_total", "Connections accepted.", func(t *protocol.Total) uint64 { return t.Accepted })
	m.counter(groups, "gozd_moved_in_total", "Connections taken over from an older generation.", func(t *protocol.Total) uint64 { return t.MovedIn })
	m.counter(groups, "gozd_moved_out_total", "Connections given to the next generation.", func(t *protocol.Total) uint64 { return t.MovedOut })
	m.counter(groups, "gozd_cut_total", "Connections closed at a deadline.", func(t *protocol.Total) uint64 { return t.Cut })
}

func (m metrics) counter(groups []protocol.Group, name, help string, value func(*protocol.Total) uint64) {
	m.family(name, "counter", help)
	for i := range groups {
		m.sample(name, float64(value(&groups[i].Total)), "group", groups[i].Name)
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
