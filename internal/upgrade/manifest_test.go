package upgrade

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// letterTo is a manifest with everything in it.
var letterTo = Manifest{
	Version:    manifestVersion,
	Generation: 3,
	Timeout:    90 * time.Second,
	PIDFile:    "/run/app.pid",
	Sockets:    []Socket{{ID: "1.1", Group: "web", Network: "tcp", Address: ":80"}, {ID: "2.1", Group: "ü", Network: "unix", Address: "@x"}},
	Ancestors:  []Ancestor{{Generation: 1, PID: 7, StartTime: 1<<63 + 1}, {Generation: 2, PID: 8, PIDFile: "/run/app.pid"}},
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
	got, err := decodeManifest(encode(t, letterTo))
	if err != nil || !reflect.DeepEqual(got, letterTo) {
		t.Errorf("decodeManifest = %+v, %v, want %+v", got, err, letterTo)
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
		{"null", "has version 0, this binary reads 1"},
		{"{}", "has version 0, this binary reads 1"},
		{`{"version":2,"generation":2}`, "has version 2, this binary reads 1"},
		{`{"version":1}`, "generation 0 is out of range"},
		{`{"version":1,"generation":1}`, "generation 1 is out of range"},
		{`{"version":1,"generation":-2}`, "generation -2 is out of range"},
		{`{"version":1,"generation":2,"sockets":7}`, "cannot unmarshal number"},
		{`{"version":1,"generation":2`, "unexpected end of JSON input"},
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
	f.Add(encode(f, letterTo))
	f.Add([]byte(`{"version":1,"generation":2}`))
	f.Add([]byte(`{"version":1,"generation":2,"sockets":[null],"ancestors":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeManifest(data)
		if err != nil {
			return
		}
		if m.Version != manifestVersion || m.Generation < 2 {
			t.Errorf("%q is a manifest of version %d for generation %d", data, m.Version, m.Generation)
		}
		if again, err := decodeManifest(encode(t, m)); err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%+v becomes %+v, %v", m, again, err)
		}
	})
}

func TestSampleIsAManifest(t *testing.T) {
	m, err := decodeManifest([]byte(sample))
	if err != nil || len(m.Sockets) != 1 || len(m.Ancestors) != 1 {
		t.Errorf("decodeManifest(sample) = %+v, %v", m, err)
	}
}
