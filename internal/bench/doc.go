// Package bench has the benchmarks that compare gozd with what it replaces. Both
// sides run in one process and one run, so that a ratio means something. make bench
// runs them several times, prints a table, and has package judge say whether a ratio
// is out of its bounds.
package bench
