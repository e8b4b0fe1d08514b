package groups

import (
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

func TestMatchSockets(t *testing.T) {
	tcp := func(name, address string) config.Group {
		return config.Group{Name: name, Listen: config.Address{Network: "tcp", Address: address}}
	}
	held := func(id, group, address, bound string) upgrade.Socket {
		return upgrade.Socket{ID: id, Group: group, Network: "tcp", Address: address, Bound: bound}
	}
	for _, tt := range []struct {
		name      string
		groups    []config.Group
		inherited []upgrade.Socket
		want      []string // IDs; "" for a new socket
	}{
		{"nothing inherited", []config.Group{tcp("a", ":80")}, nil, []string{""}},
		{"the same", []config.Group{tcp("a", ":80")}, []upgrade.Socket{held("1", "a", ":80", "[::]:80")}, []string{"1"}},
		{"another address", []config.Group{tcp("a", ":81")}, []upgrade.Socket{held("1", "a", ":80", "[::]:80")}, []string{""}},
		{"renamed", []config.Group{tcp("b", ":80")}, []upgrade.Socket{held("1", "a", ":80", "[::]:80")}, []string{"1"}},
		{
			"swapped",
			[]config.Group{tcp("a", ":81"), tcp("b", ":80")},
			[]upgrade.Socket{held("1", "a", ":80", "[::]:80"), held("2", "b", ":81", "[::]:81")},
			[]string{"2", "1"},
		},
		{"port 0 keeps its port", []config.Group{tcp("a", "127.0.0.1:0")}, []upgrade.Socket{held("1", "a", "127.0.0.1:0", "127.0.0.1:4711")}, []string{"1"}},
		{"port 0 is nobody else's", []config.Group{tcp("b", "127.0.0.1:0")}, []upgrade.Socket{held("1", "a", "127.0.0.1:0", "127.0.0.1:4711")}, []string{""}},
		{"port 0 written out", []config.Group{tcp("a", "127.0.0.1:4711")}, []upgrade.Socket{held("1", "a", "127.0.0.1:0", "127.0.0.1:4711")}, []string{"1"}},
		{
			"a new group does not take a namesake's socket",
			[]config.Group{tcp("new", ":80"), tcp("a", ":80")},
			[]upgrade.Socket{held("1", "a", ":80", "[::]:80")},
			[]string{"", "1"},
		},
		{
			"another network",
			[]config.Group{{Name: "a", Listen: config.Address{Network: "unix", Address: "/x"}}},
			[]upgrade.Socket{held("1", "a", "/x", "/x")},
			[]string{""},
		},
	} {
		for i, got := range matchSockets(tt.groups, tt.inherited) {
			id := ""
			if got != nil {
				id = got.ID
			}
			if id != tt.want[i] {
				t.Errorf("%s: group %s keeps socket %q, want %q", tt.name, tt.groups[i].Name, id, tt.want[i])
			}
		}
	}
}
