// Command judge reads what several runs of the benchmarks have printed, and ends with status 1 if a ratio is out of its bounds.
//
//	go run ./internal/bench/judge bin/bench.txt
//
// A ratio is out of bounds if its median is, and beyond its noise: the bound is below the whole interval that has the median with a
// confidence of 95 percent. Six runs are the least of which one can say that.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: judge FILE")
		os.Exit(2)
	}
	if err := judge(os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}

func judge(path string, w io.Writer) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	results, err := parse(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	found := ratios(results)
	if len(found) == 0 {
		return fmt.Errorf("%s: nothing in it has a bound", path)
	}
	var out []string
	for _, r := range found {
		least, most, err := interval(r.values)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", path, r.name, err)
		}
		verdict := "ok"
		if least > r.bound {
			verdict = "out of bounds"
			out = append(out, r.name)
		}
		fmt.Fprintf(w, "%-44s %6.2f (%.2f to %.2f), at most %.2f: %s\n", r.name, median(r.values), least, most, r.bound, verdict)
	}
	if len(out) > 0 {
		return fmt.Errorf("%d of %d ratios are out of bounds: %s", len(out), len(found), strings.Join(out, ", "))
	}
	return nil
}
