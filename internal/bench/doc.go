// Package bench has the benchmarks that compare gozd with what it replaces. Both
// sides run in one process and one run, so that a ratio means something:
//
//	go test -run '^$' -bench . -count 10 ./internal/bench | tee new.txt
//	benchstat -col /side new.txt
package bench
