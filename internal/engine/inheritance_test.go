package engine

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/peers"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/upgrade"
)

// testInheritance has everything in it.
var testInheritance = inheritance{
	PIDFile:   "/run/app.pid",
	Ancestors: []peers.Peer{{Generation: 1, PID: 7, StartTime: 1<<63 + 1}, {Generation: 2, PID: 8, PIDFile: "/run/app.pid"}},
	Tickets:   []tickets.Secret{{Created: time.Date(2026, 11, 24, 1, 2, 3, 4, time.UTC), Bytes: []byte{0, 255}}},
	Shadowed:  map[string][]byte{"NEW": nil, "EMPTY": {}, "OLD": []byte("\xff=")},
	Managed:   true,
	Storing:   true,
	History:   earlierUpgrades{Failed: 4, Asked: time.Date(2026, 11, 24, 15, 0, 0, 1, time.UTC)},
}

// manifestOf is that of generation 2, with a payload.
func manifestOf(payload []byte) upgrade.Manifest {
	return upgrade.Manifest{Version: 2, Generation: 2, Payload: payload}
}

func encode(tb testing.TB, i inheritance) []byte {
	tb.Helper()
	data, err := json.Marshal(i)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestInheritanceRoundTrip(t *testing.T) {
	t.Parallel()
	got, err := readInheritance(manifestOf(encode(t, testInheritance)))
	if err != nil || !reflect.DeepEqual(got, testInheritance) {
		t.Errorf("readInheritance = %+v, %v, want %+v", got, err, testInheritance)
	}
}

// What is added to it must be read, too, and so be in testInheritance.
func TestInheritanceRoundTripHasEverything(t *testing.T) {
	t.Parallel()
	wantEverything(t, "inheritance", reflect.ValueOf(testInheritance))
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
			} else if v.Type() == reflect.TypeFor[earlierUpgrades]() {
				inner = append(inner, v)
			}
		}
		if empty {
			t.Errorf("testInheritance has no %s", field)
		} else if len(inner) > 0 {
			wantEverything(t, field, inner...)
		}
	}
}

// A first generation has no parent, and no payload.
func TestInheritanceOfTheFirst(t *testing.T) {
	t.Parallel()
	got, err := readInheritance(upgrade.Manifest{Generation: 1})
	if err != nil || !reflect.DeepEqual(got, inheritance{}) {
		t.Errorf("readInheritance = %+v, %v", got, err)
	}
}

// A later version of gozd may say more, as long as the version is the same.
func TestInheritanceIgnoresUnknownFields(t *testing.T) {
	t.Parallel()
	got, err := readInheritance(manifestOf([]byte(`{"colour":"red","pidfile":"/run/app.pid","ancestors":[{"pid":7,"reuse":true}]}`)))
	if err != nil || got.PIDFile != "/run/app.pid" || len(got.Ancestors) != 1 {
		t.Errorf("readInheritance = %+v, %v", got, err)
	}
}

func TestReadInheritanceFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ payload, says string }{
		{"", "unexpected end of JSON input"}, // none
		{"7", "cannot unmarshal number"},
		{`{"pidfile":7}`, "inheritance.pidfile"},
		{`{"ancestors":[{"start_time":-1}]}`, "number -1 into Go struct field Peer.ancestors.start_time"},
		{`{"tickets":[{"bytes":"?"}]}`, "illegal base64"},
		{`{"history":{"asked":"noon"}}`, "parsing time"},
	} {
		got, err := readInheritance(manifestOf([]byte(tt.payload)))
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "previous generation") {
			t.Errorf("readInheritance(%s) = %v, want %q", tt.payload, err, tt.says)
		}
		if !reflect.DeepEqual(got, inheritance{}) {
			t.Errorf("readInheritance(%s) = %+v beside an error", tt.payload, got)
		}
	}
}

// FuzzInheritance reads the payload of the bootstrap message: what is read of it is passed on as it is.
func FuzzInheritance(f *testing.F) {
	f.Add(encode(f, testInheritance))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"pidfile":"","ancestors":[{}]}`))
	f.Add([]byte(`{"ancestors":[],"tickets":[],"shadowed":{},"history":{"asked":"0001-01-01T01:00:00+01:00"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readInheritance(manifestOf(data))
		if err != nil {
			return
		}
		again, err := readInheritance(manifestOf(encode(t, got))) // an empty list or a time without a zone has become nothing
		if err != nil {
			t.Fatal(err)
		}
		if third, err := readInheritance(manifestOf(encode(t, again))); err != nil || !reflect.DeepEqual(third, again) {
			t.Errorf("%+v becomes %+v, %v", again, third, err)
		}
	})
}
