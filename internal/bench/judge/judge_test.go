package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// printed is what runs of the benchmarks print, in which one side has these ratios to the other.
func printed(ratios ...float64) string {
	var b strings.Builder
	for i, r := range ratios {
		plain := 1000 * float64(1+i%3) // the machine is not always as fast
		fmt.Fprintf(&b, "goos: linux\nBenchmarkSmall/side=plain-2 \t 10 \t %g ns/op\t %g cpu-ns/op\t 20 allocs/op\n", plain, plain)
		fmt.Fprintf(&b, "BenchmarkSmall/side=httpx-2 \t 10 \t %g ns/op\t %g cpu-ns/op\t 21 allocs/op\nPASS\n", plain*9, plain*r)
	}
	return b.String()
}

func judgeText(t *testing.T, text string) (said string, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bench.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err = judge(path, &out)
	return out.String(), err
}

func TestJudge(t *testing.T) {
	times := func(n int, text string) string { return strings.Repeat(text, n) }
	for name, tt := range map[string]struct {
		text string
		want string // in the error; "" for none
	}{
		"within":                    {printed(1, 1.02, 0.98, 1.01, 1, 1.03), ""},
		"at the bound":              {printed(1.1, 1.1, 1.1, 1.1, 1.1, 1.1), ""},
		"beyond":                    {printed(1.2, 1.3, 1.25, 1.2, 1.22, 1.12), "1 of 2 ratios are out of bounds: Small/side=httpx cpu-ns/op"},
		"beyond in five of six":     {printed(1.2, 1.3, 1.25, 1.2, 1.22, 1.09), ""},
		"beyond in nine of ten":     {printed(1.2, 1.3, 1.25, 1.2, 1.22, 1.2, 1.2, 1.2, 1.2, 1), "Small/side=httpx cpu-ns/op"},
		"beyond in eight of ten":    {printed(1.2, 1.3, 1.25, 1.2, 1.22, 1.2, 1.2, 1.2, 1, 1), ""},
		"too few":                   {printed(1, 1, 1, 1, 1), "5 runs are too few"},
		"nothing":                   {"PASS\n", "nothing in it has a bound"},
		"failed":                    {printed(1) + "--- FAIL: BenchmarkTLS\n", "a benchmark has failed"},
		"no number":                 {"BenchmarkSmall/side=plain 10 x ns/op\n", "invalid syntax"},
		"upgrades":                  {times(6, "BenchmarkUpgrade-2 1 3000 ns/op 1.8 ratio\n"), ""},
		"slow upgrades":             {times(6, "BenchmarkUpgrade-2 1 3000 ns/op 2.1 ratio\n"), "Upgrade ratio"},
		"memory":                    {times(6, "BenchmarkIdleConnections/connections=10-2 1 0.6 ratio\n"), "connections=10 ratio"},
		"allocations for each byte": {times(6, "BenchmarkTCP/side=plain-2 1 3 ns/op 2 allocs/op\nBenchmarkTCP/side=tcpx-2 1 3 ns/op 4 allocs/op\n"), "more allocs/op"},
		"no ratio with a bound":     {times(6, "BenchmarkLatency-2 1 0 ns/op 9 kept-ratio\n"), "nothing in it has a bound"},
	} {
		t.Run(name, func(t *testing.T) {
			said, err := judgeText(t, tt.text)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("%v\n%s", err, said)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("the error is %v, want %q in it\n%s", err, tt.want, said)
			}
		})
	}
}

func TestJudgeSaysWhatItSees(t *testing.T) {
	said, err := judgeText(t, printed(1, 1.02, 0.98, 1.01, 1, 1.03))
	want := `Small/side=httpx cpu-ns/op                     1.00 (0.98 to 1.03), at most 1.10: ok
Small/side=httpx more allocs/op                1.00 (1.00 to 1.00), at most 1.00: ok
`
	if said != want || err != nil {
		t.Errorf("it says\n%s, %v, want\n%s", said, err, want)
	}
}
