package main

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var ann = state{
	ID: "1.4", Nick: "ann", Room: "go", Said: 7, Heard: 9, Moved: 2,
	Rest: []byte("half a l\xff"), Out: []byte("bob: hi\n"),
	With: map[string]string{"1.4": "ann", "2.1": "bob"},
}

func TestStateRoundTrip(t *testing.T) {
	if got, err := decode(ann.encode("2")); err != nil || !reflect.DeepEqual(got, ann) {
		t.Errorf("version 2: %+v, %v, want %+v", got, err, ann)
	}
	want := state{Nick: "ann", Room: "go", Said: 7, Rest: ann.Rest, Out: ann.Out}
	if got, err := decode(ann.encode("1")); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("version 1: %+v, %v, want %+v", got, err, want)
	}
}

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       state
	}{
		{
			"version 1 as it was written", `{"v":1,"name":"ann","room":"go","lines":7,"rest":"aGFsZg==","out":""}`,
			state{Nick: "ann", Room: "go", Said: 7, Rest: []byte("half"), Out: []byte{}},
		},
		{
			"version 2 as it was written", `{"v":2,"id":"1.4","nick":"ann","said":7,"heard":9,"moved":2}`,
			state{ID: "1.4", Nick: "ann", Said: 7, Heard: 9, Moved: 2},
		},
		{
			"a newer version with more", `{"v":3,"id":"1.4","nick":"ann","room":"go","said":7,"mood":{"now":"fine"}}`,
			state{ID: "1.4", Nick: "ann", Room: "go", Said: 7},
		},
		{
			"a newer version with a field that does not fit", `{"v":9,"nick":"ann","room":["go","c"],"said":7,"rest":12}`,
			state{Nick: "ann", Said: 7},
		},
		{"names that nobody may choose", `{"v":2,"nick":"a\nb","room":"no room","with":{"1.1":"bob","1.2":"\n"}}`, state{With: map[string]string{"1.1": "bob"}}},
	} {
		if got, err := decode([]byte(tt.text)); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, text := range []string{"", "{", "null", `"v"`, "{}", `{"v":0}`, `{"v":-1}`, `{"v":"2"}`, `{"v":2}x`, "\x00"} {
		if got, err := decode([]byte(text)); err == nil || !reflect.DeepEqual(got, state{}) {
			t.Errorf("decode(%q) = %+v, %v, want an error", text, got, err)
		}
		if got := restore([]byte(text)); !bytes.Contains(got.Out, []byte("were lost")) {
			t.Errorf("restore(%q) = %+v, want the user to be told", text, got)
		}
	}
}

// The largest state fits into what a connection may take along, 1 MiB.
func TestLargestState(t *testing.T) {
	s := state{ID: strings.Repeat("9", 30), Nick: strings.Repeat("n", 20), Room: strings.Repeat("r", 20)}
	s.Rest, s.Out = make([]byte, maxLine), make([]byte, maxOut)
	s.With = make(map[string]string)
	for i := range maxRoom {
		s.With[fmt.Sprintf("%030d", i)] = s.Nick
	}
	if n := len(s.encode("2")); n > 1<<18 {
		t.Errorf("the largest state has %d bytes, want at most a quarter of 1 MiB", n)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(ann.encode("1"))
	f.Add(ann.encode("2"))
	f.Add([]byte(`{"v":3,"nick":"ann","room":["go"],"mood":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decode(data)
		if err != nil {
			return
		}
		for _, name := range slices.Concat([]string{s.Nick, s.Room}, slices.Collect(maps.Values(s.With))) {
			if name != "" && !isName(name) {
				t.Errorf("name %q", name)
			}
		}
		once := s.encode("2")
		again, err := decode(once)
		if err != nil || !bytes.Equal(again.encode("2"), once) {
			t.Errorf("%s reads as %+v, %v", once, again, err)
		}
		if _, err := decode(s.encode("1")); err != nil {
			t.Errorf("version 1 of %+v: %v", s, err)
		}
	})
}
