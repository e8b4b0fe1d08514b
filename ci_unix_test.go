//go:build unix

package gozd_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
)

// madeUp is what go test prints of packages that fail in all the ways there are.
const madeUp = `ok  	x/good	0.1s
-test.shuffle 17
--- FAIL: TestPlain (0.01s)
    plain_test.go:4: first
    plain_test.go:5: log:
        line 1
        line 2
        line 3
    --- FAIL: TestPlain/sub_test (0.00s)
        plain_test.go:9: deep
    --- PASS: TestPlain/good (0.00s)
        plain_test.go:10: not this
FAIL
FAIL	x/plain	0.2s
=== RUN   TestVerbose
    verbose_test.go:7: said before its end
=== RUN   TestGood
    verbose_test.go:8: not this
--- FAIL: TestVerbose (0.01s)
--- PASS: TestGood (0.01s)
FAIL
FAIL	x/verbose	0.2s
==================
WARNING: DATA RACE
Read at 0x00c000018268 by goroutine 9:

Previous write at 0x00c000018268 by goroutine 10:
==================
--- FAIL: TestRace (0.00s)
    testing.go:1712: race detected during execution of test
FAIL
FAIL	x/race	0.2s
panic: test timed out after 30m0s
	running tests:
		TestHang (29m0s)

goroutine 5 [running]:
FAIL	x/hang	1800.1s
# x/broken [x/broken.test]
broken/b_test.go:3:28: undefined: y
FAIL	x/broken [build failed]
PASS
found unexpected goroutines:
exit status 1
FAIL	x/leak	0.2s
FAIL
`

const wantOfIt = `--- FAIL: TestPlain (0.01s)
    plain_test.go:4: first
    plain_test.go:5: log:
        line 1
        line 2
--- FAIL: TestPlain/sub_test (0.00s)
        plain_test.go:9: deep
FAIL    x/plain    0.2s    -test.shuffle 17
--- FAIL: TestVerbose (0.01s)
    verbose_test.go:7: said before its end
FAIL    x/verbose    0.2s
WARNING: DATA RACE
Read at 0x00c000018268 by goroutine 9:
Previous write at 0x00c000018268 by goroutine 10:
--- FAIL: TestRace (0.00s)
    testing.go:1712: race detected during execution of test
FAIL    x/race    0.2s
panic: test timed out after 30m0s
    running tests:
        TestHang (29m0s)
goroutine 5 [running]:
FAIL    x/hang    1800.1s
# x/broken [x/broken.test]
broken/b_test.go:3:28: undefined: y
FAIL    x/broken [build failed]
PASS
found unexpected goroutines:
FAIL    x/leak    0.2s
failed packages: x/plain x/verbose x/race x/hang x/broken x/leak
`

// failuresOf is what .ci/run says at its end of what go test has printed.
func failuresOf(t *testing.T, output string) string {
	t.Helper()
	cmd := exec.Command(require.Tool(t, "awk", "package mawk"), "-f", ".ci/failures.awk")
	cmd.Stdin = strings.NewReader(output)
	got, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("awk: %v: %s", err, got)
	}
	return string(got)
}

// What CI and make run is what the README tells everybody to run.
func TestTestCommandIsTheSameEverywhere(t *testing.T) {
	const command = "go test -race -shuffle=on -timeout 30m ./..."
	for file, line := range map[string]string{
		"README.md": "\n" + command + "\n```\n",
		"Makefile":  "\ntest:\n\t" + command + "\n",
		".ci/run":   "\neverything=(" + command + ")\n",
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), line); n != 1 {
			t.Errorf("%s has %q %d times, want once", file, line, n)
		}
	}
}

func TestFailuresAreSummedUp(t *testing.T) {
	if got := failuresOf(t, madeUp); got != wantOfIt {
		t.Errorf("got\n%s\nwant\n%s", got, wantOfIt)
	}
}

// Where there is too much, the record keeps the end: there are the names of all.
func TestFailuresThatAreTooMany(t *testing.T) {
	long := "--- FAIL: TestLong (0.01s)\n" + strings.Repeat("    long_test.go:1: "+strings.Repeat("word ", 100)+"\n", 100)
	lines := strings.Split(failuresOf(t, strings.Repeat(madeUp, 9)+long+"FAIL\tx/long\t0.2s\n"), "\n")
	if n := len(lines); n > 85 {
		t.Errorf("there are %d lines", n)
	}
	for _, line := range lines[:80] {
		if len(line) > 300 {
			t.Errorf("a line has %d bytes: %s", len(line), line)
		}
	}
	end := strings.Join(lines[80:], "\n")
	for _, want := range []string{" lines more\n", "failed tests: TestPlain TestPlain/sub_test TestVerbose TestRace TestLong\n", " x/long\n"} {
		if !strings.Contains(end, want) {
			t.Errorf("the end lacks %q:\n%s", want, end)
		}
	}
}
