package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// result is one line of a benchmark.
type result struct {
	name   string // without "Benchmark", and how many processors there were
	values map[string]float64
}

var processors = regexp.MustCompile(`-\d+$`)

// parse finds the lines of benchmarks in what go test has printed.
func parse(text string) (all []result, err error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if strings.HasPrefix(line, "--- FAIL: ") || (len(fields) > 0 && fields[0] == "FAIL") {
			return nil, fmt.Errorf("a benchmark has failed: %s", strings.TrimSpace(line))
		}
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		r := result{processors.ReplaceAllString(strings.TrimPrefix(fields[0], "Benchmark"), ""), make(map[string]float64)}
		for i := 2; i+1 < len(fields); i += 2 {
			r.values[fields[i+1]], err = strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", strings.TrimSpace(line), err)
			}
		}
		all = append(all, r)
	}
	return all, nil
}
