package config_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

// noEnviron keeps the environment of the test out of it.
var noEnviron = config.Options{Program: "app", Environ: []string{}}

// FuzzParse gives every format what it was not made for.
func FuzzParse(f *testing.F) {
	for name, data := range formats {
		f.Add(name, []byte(data))
	}
	f.Add("a.yaml", []byte("a: &x {b: *x}"))
	f.Add("a.yaml", []byte("a: &x {b: &y [c, *y]}\nd: {<<: [*x, *x], e: *y}"))
	f.Add("a.yaml", []byte("1: {2: 3}\n~: ~\n? [a]\n: b"))
	f.Add("a.toml", []byte("a.b = 1979-05-27\n[[c]]\nd = 07:32:00"))
	f.Add("a.json", []byte(`{"a":{"a":1,"a":[{"b":{}}]},"a":null}`))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		if strings.ContainsRune(name, '/') || len(name) > 10 {
			t.Skip("only the extension is of interest")
		}
		c, err := config.Parse(name, data, noEnviron)
		var all cfg.Errors
		switch {
		case err == nil && len(c.Groups) == 0:
			t.Fatal("neither groups nor an error")
		case err != nil && (c != nil || !errors.As(err, &all) || len(all) == 0):
			t.Fatalf("Parse = %v, %#v", c, err)
		}
	})
}

// Two daemons of one program may read their configurations together, and what
// one changes in its own is nothing to the other.
func TestParseIsSafeForConcurrentUse(t *testing.T) {
	opts := environ("GOZD_WEB_1_LISTEN=8443")
	data := []byte(formats["app.conf"])
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c, err := config.Parse("app.conf", data, opts)
			if err != nil {
				t.Error(err)
				return
			}
			if g, _ := c.Group("web-1"); g.Listen.Address != ":8443" {
				t.Errorf("listen is %s, want :8443", g.Listen)
			}
			c.Groups[0].Name = "changed"
		})
	}
	wg.Wait()
	if string(data) != formats["app.conf"] {
		t.Error("Parse has changed its input")
	}
}

// What is wrong with a line is found without reading all of the others again.
func TestManyErrorsAreFoundQuickly(t *testing.T) {
	var b strings.Builder
	b.WriteString(ok)
	for i := range 10000 {
		fmt.Fprintf(&b, "k%d x\n", i)
	}
	start := time.Now()
	_, err := config.Parse("app.conf", []byte(b.String()), noEnviron)
	var all cfg.Errors
	if !errors.As(err, &all) || len(all) != 1001 || all[1000].Error() != "app.conf: and 9000 more errors" {
		t.Errorf("Parse has %d errors, want 1000 and one that counts the others", len(all))
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("Parse took %v", took)
	}
}
