package report_test

import (
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/report"
)

func TestLastWords(t *testing.T) {
	const stack = "panic: boom\n\ngoroutine 1 [running]:\nmain.f(...)\n\t/src/app.go:12\nmain.main()\n\t/src/app.go:20 +0x1d\n"
	tests := []struct{ name, stderr, want string }{
		{"nothing", "", ""},
		{"one line", "listen tcp :6060: bind: address already in use\n", "listen tcp :6060: bind: address already in use"},
		{"no end of line", "ls: not found", "ls: not found"},
		{"empty lines", "\n\n  x  \n\n", "x"},
		{"what has been freed", strings.Repeat("\x00", 9000) + "x\n", "x"},
		{"many lines", "a\nb\nc\nd\n", "b; c; d"},
		{"a long line", strings.Repeat("x", 1<<20), strings.Repeat("x", 512)},
		{"crash", stack, "panic: boom (main.f, app.go:12)"},
		{"crash after other words", "starting\npanic: no crash\n" + stack, "panic: no crash (main.f, app.go:12)"},
		{"words that look like a crash", "panic: we have none\nbye\n", "panic: we have none; bye"},
		{"cut before a frame", stack[:strings.Index(stack, "main.f")], "panic: boom"},
		{"cut in a frame", stack[:strings.Index(stack, "\t/src")], "panic: boom"},
		{"cut at the front", "oom" + stack[strings.Index(stack, "boom")+4:], "oom (main.f, app.go:12)"},
		{
			"frames of the runtime only",
			"SIGABRT: abort\nPC=0x1 m=0\n\ngoroutine 0 [idle]:\nruntime.futex(0x1)\n\t/go/sys_linux_amd64.s:1\n" +
				"created by main.(*T).f in goroutine 1\n\t/src/app.go:3\n",
			"SIGABRT: abort",
		},
		{
			"signal", "panic: runtime error\n[signal SIGSEGV]\n\ngoroutine 1 [running]:\nmain.(*T).f(0x0)\n\tapp.go:3 +0x1\n",
			"panic: runtime error (main.(*T).f, app.go:3)",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, _ := report.LastWords(test.stderr); got != test.want {
				t.Errorf("LastWords(%.200q) = %.200q, want %.200q", test.stderr, got, test.want)
			}
		})
	}
}

func FuzzLastWords(f *testing.F) {
	f.Add("panic: boom\n\ngoroutine 1 [running]:\nmain.f(...)\n\t/src/app.go:12\n")
	f.Add("x\n(\n\t\n)(\n\t/")
	f.Add(strings.Repeat("x(\n\t", 10_000))
	f.Fuzz(func(t *testing.T, stderr string) {
		// Three lines, or the first of a crash with a function and its place, each of which is in the account.
		if got, _ := report.LastWords(stderr); len(got) > 40<<10 || strings.Contains(got, "\n") {
			t.Errorf("LastWords(%.200q) = %.200q, %d bytes", stderr, got, len(got))
		}
	})
}
