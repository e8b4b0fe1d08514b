package upgrade

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"
)

// testManifest is a manifest with everything in it.
var testManifest = Manifest{
	Version:    manifestVersion,
	Generation: 3,
	Timeout:    90 * time.Second,
	PIDFile:    "/run/app.pid",
	Sockets:    []Socket{{ID: "1.1", Group: "web", Network: "tcp", Address: ":80"}, {ID: "2.1", Group: "ü", Network: "unix", Address: "@x", Bound: "@x", File: "7:42", Activated: true}},
	Ancestors:  []peers.Peer{{Generation: 1, PID: 7, StartTime: 1<<63 + 1}, {Generation: 2, PID: 8, PIDFile: "/run/app.pid"}},
	Tickets:    []tickets.Secret{{Created: time.Date(2026, 11, 24, 1, 2, 3, 4, time.UTC), Bytes: []byte{0, 255}}},
	Managed:    true,
	Storing:    true,
	Probation:  time.Hour,
	Shadowed:   map[string][]byte{"NEW": nil, "EMPTY": {}, "OLD": []byte("\xff=")},
	History:    History{Failed: 4, Asked: time.Date(2026, 11, 24, 15, 0, 0, 1, time.UTC)},
}

func encode(tb testing.TB, v any) []byte {
	tb.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestManifestRoundTrip(t *testing.T) {
	got, err := decodeManifest(encode(t, testManifest))
	if err != nil || !reflect.DeepEqual(got, testManifest) {
		t.Errorf("decodeManifest = %+v, %v, want %+v", got, err, testManifest)
	}
}

// What is added to a manifest must be read, too, and so be in testManifest.
func TestManifestRoundTripHasEverything(t *testing.T) {
	wantEverything(t, "Manifest", reflect.ValueOf(testManifest))
}

// wantEverything looks for a value in each field of structs of one type, in one of them at least.
func wantEverything(t *testing.T, name string, structs ...reflect.Value) {
	t.Helper()
	of := structs[0].Type()
	for i := range of.NumField() {
		field := name + "." + of.Field(i).Name
		var inner []reflect.Value
		empty := true
		for _, s := range structs {
			v := s.Field(i)
			empty = empty && v.IsZero()
			if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct {
				for j := range v.Len() {
					inner = append(inner, v.Index(j))
				}
			} else if v.Type() == reflect.TypeFor[History]() {
				inner = append(inner, v)
			}
		}
		if empty {
			t.Errorf("testManifest has no %s", field)
		} else if len(inner) > 0 {
			wantEverything(t, field, inner...)
		}
	}
}

// A later version of gozd may say more, as long as the version is the same.
func TestManifestIgnoresUnknownFields(t *testing.T) {
	m, err := decodeManifest([]byte(`{"version":1,"generation":2,"colour":"red","sockets":[{"id":"1.1","reuse":true}]}`))
	if err != nil || m.Generation != 2 || len(m.Sockets) != 1 {
		t.Errorf("decodeManifest = %+v, %v", m, err)
	}
}

func TestDecodeManifestFails(t *testing.T) {
	tests := []struct{ data, says string }{
		{"", "unexpected end of JSON input"},
		{"null", "has version 0"},
		{"7", "cannot unmarshal number"},
		{"{}", "has version 0, this binary reads 1"},
		{`{"version":2,"generation":2}`, "has version 2, this binary reads 1"},
		{`{"version":1}`, "generation 0 is out of range"},
		{`{"version":1,"generation":1}`, "generation 1 is out of range"},
		{`{"version":1,"generation":-2}`, "generation -2 is out of range"},
		{`{"version":1,"generation":2,"sockets":7}`, "Manifest.sockets"},
		{`{"version":1,"generation":2`, "unexpected end of JSON input"},
		{`{"version":1,"generation":2,"sockets":[{},{"id":{}}]}`, "Socket.sockets.id"},
		{`{"version":1,"generation":2.5}`, "number 2.5 into Go struct field Manifest.generation"},
		{`{"version":1,"generation":2,"ancestors":[{"start_time":-1}]}`, "number -1 into Go struct field Peer.ancestors.start_time"},
		{`{"version":1,"generation":2,"tickets":[{"bytes":"?"}]}`, "illegal base64"},
		{`{"version":1,"generation":2,"history":{"asked":"noon"}}`, "parsing time"},
	}
	for _, test := range tests {
		m, err := decodeManifest([]byte(test.data))
		if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "previous generation") {
			t.Errorf("decodeManifest(%s) = %v, want %q", test.data, err, test.says)
		}
		if !reflect.DeepEqual(m, Manifest{}) {
			t.Errorf("decodeManifest(%s) = %+v beside an error", test.data, m)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(encode(f, testManifest))
	f.Add([]byte(`{"version":1,"generation":2}`))
	f.Add([]byte(`{"version":1,"generation":2,"sockets":[null],"ancestors":[{}]}`))
	f.Add([]byte(`{"version":1,"generation":2,"sockets":[],"ancestors":[],"tickets":[],"shadowed":{},"history":{"asked":"0001-01-01T01:00:00+01:00"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeManifest(data)
		if err != nil {
			return
		}
		if m.Version != manifestVersion || m.Generation < 2 {
			t.Errorf("%q is a manifest of version %d for generation %d", data, m.Version, m.Generation)
		}
		again, err := decodeManifest(encode(t, m)) // an empty list or a time without a zone has become nothing
		if err != nil {
			t.Fatal(err)
		}
		if third, err := decodeManifest(encode(t, again)); err != nil || !reflect.DeepEqual(third, again) {
			t.Errorf("%+v becomes %+v, %v", again, third, err)
		}
	})
}
