package main

import (
	"strings"
	"testing"
)

// The value of -c is found as package flag would find it.
func TestConfigOfAProgram(t *testing.T) {
	for _, test := range []struct {
		args string
		want string
	}{
		{"", "app.conf"},
		{"-v", "app.conf"},
		{"-c a.conf", "a.conf"},
		{"-v --c a.conf", "a.conf"},
		{"-c=a.conf -v", "a.conf"},
		{"--c=a.conf", "a.conf"},
		{"c a.conf", "app.conf"},
		{"-c", "app.conf"},
	} {
		if got := configOf(strings.Fields(test.args)); got != test.want {
			t.Errorf("configOf(%s) = %q, want %q", test.args, got, test.want)
		}
	}
}

// Of what a program says the end is kept: there the reason is.
func TestWordsKeepTheEnd(t *testing.T) {
	w := new(words)
	for range 100 {
		if _, err := w.Write([]byte(strings.Repeat("x", 99) + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write([]byte("the end")); err != nil {
		t.Fatal(err)
	}
	if got := w.buf.String(); len(got) != maxWords || !strings.HasSuffix(got, "\nthe end") {
		t.Errorf("%d bytes are kept, which end so: %q", len(got), got[max(0, len(got)-20):])
	}
}
