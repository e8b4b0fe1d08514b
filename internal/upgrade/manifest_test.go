package upgrade

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// testManifest is a manifest with everything in it.
var testManifest = Manifest{
	Version:    manifestVersion,
	DryRun:     true,
	Generation: 3,
	Timeout:    90 * time.Second,
	Probation:  time.Hour,
	Sockets:    []Socket{{ID: "1.1", Group: "web", Network: "tcp", Address: ":80"}, {ID: "2.1", Group: "ü", Network: "unix", Address: "@x", Bound: "@x", File: "7:42", Activated: true}},
	Namespaces: map[string]string{"pid": "pid:[1]"},
	Payload:    json.RawMessage(`{"of":["the","program"]}`),
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

func TestCheckNamespaces(t *testing.T) {
	for _, tt := range []struct {
		theirs, ours map[string]string
		ok           bool
	}{
		{nil, map[string]string{"pid": "pid:[1]"}, true}, // an older version says nothing
		{map[string]string{"pid": "pid:[1]"}, nil, true}, // without /proc
		{map[string]string{"pid": "pid:[1]"}, map[string]string{"pid": "pid:[1]", "time": "time:[2]"}, true},
		{map[string]string{"pid": "pid:[1]", "time": "time:[2]"}, map[string]string{"pid": "pid:[1]", "time": "time:[3]"}, false},
		{map[string]string{"pid": "pid:[1]"}, map[string]string{"pid": "pid:[2]"}, false},
	} {
		m := Manifest{Namespaces: tt.theirs}
		if err := m.checkNamespaces(tt.ours); (err == nil) != tt.ok {
			t.Errorf("checkNamespaces of %v in %v = %v", tt.theirs, tt.ours, err)
		}
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
	m, err := decodeManifest([]byte(`{"version":2,"generation":2,"colour":"red","sockets":[{"id":"1.1","reuse":true}]}`))
	if err != nil || m.Generation != 2 || len(m.Sockets) != 1 {
		t.Errorf("decodeManifest = %+v, %v", m, err)
	}
}

func TestDecodeManifestFails(t *testing.T) {
	tests := []struct{ data, says string }{
		{"", "unexpected end of JSON input"},
		{"null", "sends version 0 "},
		{"7", "cannot unmarshal number"},
		{"{}", "version 0 of the manifest, and this binary reads version 2: restart instead of upgrading"},
		{`{"version":3,"generation":2}`, "version 3 of the manifest, and this binary reads version 2: restart instead of upgrading"},
		{`{"version":2}`, "generation 0 is out of range"},
		{`{"version":2,"generation":1}`, "generation 1 is out of range"},
		{`{"version":2,"generation":-2}`, "generation -2 is out of range"},
		{`{"version":2,"generation":2,"sockets":7}`, "Manifest.sockets"},
		{`{"version":2,"generation":2`, "unexpected end of JSON input"},
		{`{"version":2,"generation":2,"sockets":[{},{"id":{}}]}`, "Socket.sockets.id"},
		{`{"version":2,"generation":2.5}`, "number 2.5 into Go struct field Manifest.generation"},
		{`{"version":2,"generation":2,"payload":{}`, "unexpected end of JSON input"},
		{`{"version":2,"generation":2,"payload":{1}}`, "invalid character '1'"},
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

// A binary of before the payload and this one refuse each other, each in words that name both versions: neither would find in a manifest of the
// other's what is now in the payload, such as the PID file.
func TestManifestBeforeThePayload(t *testing.T) {
	before := `{"version":1,"generation":3,"timeout_ns":90000000000,"pidfile":"/run/app.pid","sockets":[{"id":"1.1","group":"web"}],` +
		`"ancestors":[{"generation":1,"pid":7}],"managed":true}`
	if _, err := decodeManifest([]byte(before)); err == nil || !strings.HasSuffix(err.Error(), "version 1 of the manifest, and this binary reads version 2: restart instead of upgrading") {
		t.Errorf("decodeManifest of version 1: %v", err)
	}
	var now struct {
		Version int `json:"version"` // what that one looks at first
	}
	if err := json.Unmarshal(encode(t, testManifest), &now); err != nil || now.Version != 2 {
		t.Errorf("a manifest has version %d, %v, want 2", now.Version, err)
	}
}

// A binary from before the dry run would take over: it must refuse the manifest of one, which it does by the version.
func TestManifestOfADryRun(t *testing.T) {
	sent := testManifest
	sent.Version, sent.DryRun = dryRunVersion, true
	data := encode(t, sent)
	var before struct {
		Version int `json:"version"` // what that one looks at first
	}
	if err := json.Unmarshal(data, &before); err != nil || before.Version == manifestVersion {
		t.Errorf("a manifest for a dry run has version %d, %v, and a binary from before takes it for an upgrade", before.Version, err)
	}
	if got, err := decodeManifest(data); err != nil || !got.DryRun {
		t.Errorf("it is read as %+v, %v, want a dry run", got, err)
	}
	for _, other := range []int{dryRunVersion + 1, dryRunVersion - 1, manifestVersion + 1} {
		sent.Version = other
		if _, err := decodeManifest(encode(t, sent)); err == nil {
			t.Errorf("a dry run of version %d is read", other)
		}
	}
	sent.Version, sent.DryRun = dryRunVersion, false
	if _, err := decodeManifest(encode(t, sent)); err == nil {
		t.Error("the version of a dry run is read without one")
	}
}

// Whatever the payload is, it arrives as it was sent.
func TestManifestCarriesAnyPayload(t *testing.T) {
	for _, payload := range []string{`{}`, `[1,"a"]`, `"text"`, `null`, `7`} {
		sent := testManifest
		sent.Payload = json.RawMessage(payload)
		got, err := decodeManifest(encode(t, sent))
		if err != nil || string(got.Payload) != payload {
			t.Errorf("payload %s is read as %s, %v", payload, got.Payload, err)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(encode(f, testManifest))
	f.Add([]byte(`{"version":2,"generation":2}`))
	f.Add([]byte(`{"version":65538,"generation":2,"dry_run":true}`))
	f.Add([]byte(`{"version":2,"generation":2,"sockets":[null],"payload":null}`))
	f.Add([]byte(`{"version":2,"generation":2,"sockets":[],"payload": [ "<" ] }`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeManifest(data)
		if err != nil {
			return
		}
		if m.Version != manifestVersion || m.Generation < 2 {
			t.Errorf("%q is a manifest of version %d for generation %d", data, m.Version, m.Generation)
		}
		again, err := decodeManifest(encode(t, m)) // spaces in the payload are gone
		if err != nil {
			t.Fatal(err)
		}
		if third, err := decodeManifest(encode(t, again)); err != nil || !reflect.DeepEqual(third, again) {
			t.Errorf("%+v becomes %+v, %v", again, third, err)
		}
	})
}
