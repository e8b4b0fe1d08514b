package report

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// Note is a figure in words: a version, a set-up, what was left out and why.
type Note struct {
	Tool  string // empty: of the whole run
	About string
	Text  string
}

// What notes are about.
const (
	Machine = "machine"
	Run     = "run"
	Version = "version"
	How     = "set-up"
	Skipped = "left out"
	Failed  = "failed"
	Unfair  = "not comparable"
)

// Result is a whole comparison.
type Result struct {
	Rows  []Row
	Notes []Note
}

// The files of a result, in its directory.
const (
	rowsFile  = "results.csv"
	notesFile = "notes.csv"
)

var (
	rowsHead  = []string{"tool", "client", "metric", "x", "low", "median", "high", "samples"}
	notesHead = []string{"tool", "about", "text"}
)

// Write writes the result into dir.
func (r Result) Write(dir string) error {
	rows := [][]string{rowsHead}
	for _, row := range r.Rows {
		rows = append(rows, []string{row.Tool, row.Client, row.Metric, strconv.Itoa(row.X), number(row.Low), number(row.Mid), number(row.High), strconv.Itoa(row.N)})
	}
	notes := [][]string{notesHead}
	for _, n := range r.Notes {
		notes = append(notes, []string{n.Tool, n.About, n.Text})
	}
	return errors.Join(writeCSV(filepath.Join(dir, rowsFile), rows), writeCSV(filepath.Join(dir, notesFile), notes))
}

// number writes no more than is known: three digits after the point.
func number(v float64) string {
	return strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64)
}

func writeCSV(path string, records [][]string) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.WriteAll(records); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, b.Bytes(), 0o644) //nolint:gosec // it is for everybody
}

// Read reads what Write has written.
func Read(dir string) (Result, error) {
	var r Result
	records, err := readCSV(filepath.Join(dir, rowsFile), rowsHead)
	if err != nil {
		return r, err
	}
	for i, f := range records {
		row := Row{Key: Key{Tool: f[0], Client: f[1], Metric: f[2]}}
		errs := make([]error, 5)
		row.X, errs[0] = strconv.Atoi(f[3])
		row.Low, errs[1] = strconv.ParseFloat(f[4], 64)
		row.Mid, errs[2] = strconv.ParseFloat(f[5], 64)
		row.High, errs[3] = strconv.ParseFloat(f[6], 64)
		row.N, errs[4] = strconv.Atoi(f[7])
		if err := errors.Join(errs...); err != nil {
			return r, fmt.Errorf("%s: record %d: %w", rowsFile, i+2, err)
		}
		r.Rows = append(r.Rows, row)
	}
	records, err = readCSV(filepath.Join(dir, notesFile), notesHead)
	for _, f := range records {
		r.Notes = append(r.Notes, Note{f[0], f[1], f[2]})
	}
	return r, err
}

func readCSV(path string, head []string) ([][]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	in := csv.NewReader(bytes.NewReader(data))
	in.FieldsPerRecord = len(head)
	records, err := in.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(records) == 0 || !slices.Equal(records[0], head) {
		return nil, fmt.Errorf("%s: the first record is not %v", path, head)
	}
	return records[1:], nil
}

// Get returns a figure.
func (r Result) Get(k Key) (Row, bool) {
	i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Key == k })
	if i < 0 {
		return Row{}, false
	}
	return r.Rows[i], true
}

// Tools returns the tools of which there are figures, in their order.
func (r Result) Tools() []string {
	var names []string
	for _, row := range r.Rows {
		if !slices.Contains(names, row.Tool) {
			names = append(names, row.Tool)
		}
	}
	return names
}

// Xs returns for which X there are figures of that kind, ascending.
func (r Result) Xs(tool, client, metric string) []int {
	var xs []int
	for _, row := range r.Rows {
		if row.Tool == tool && row.Client == client && row.Metric == metric {
			xs = append(xs, row.X)
		}
	}
	slices.Sort(xs)
	return xs
}
