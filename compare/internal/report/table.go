package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Table is a title and rows of cells, the first of which is the head.
type Table struct {
	Title string
	Text  string // below the title
	Cells [][]string
}

// Clients are the kinds of clients in the order of the columns, with what they are.
var Clients = [][2]string{
	{"new", "a connection for each request"},
	{"busy", "keep-alive, asks again 3 ms after each answer"},
	{"naive", "keep-alive, thinks for up to 200 ms, writes on what it has"},
	{"fincheck", "the same, and looks for the end of the connection first, as pools do"},
	{"rtt10", "the same, and looks 10 ms too early, as on a network with 10 ms of round trip"},
	{"h2 POST", "HTTP/2, 16 users on two connections, POSTs that cannot be replayed"},
	{"tls", "keep-alive over TLS, thinks for up to 100 ms, looks first"},
	{"fcgi busy", "as busy, to nginx, which passes on by FastCGI"},
	{"fcgi idle", "as naive, to nginx, which passes on by FastCGI"},
}

// Tables returns all tables of the result that have figures.
func (r Result) Tables() []Table {
	tables := []Table{
		r.byClient(Failures, "Failures per 1,000 clients and upgrade",
			"Each of the clients has a connection at each upgrade, except for the kind `new`, which has one after the other. A client that fails several times counts as often."),
		r.byClient(Reconnects, "Reconnects per 1,000 clients and upgrade",
			"Connections that had ended as the protocol allows, and that the client opened again. None of these lost a request."),
		r.times(), r.latency(), r.longLived(),
	}
	return slices.DeleteFunc(append(tables, r.idle()...), func(t Table) bool { return len(t.Cells) == 1 })
}

// WriteText writes the tables for a terminal.
func (r Result) WriteText(w io.Writer) error {
	for _, t := range r.Tables() {
		if _, err := fmt.Fprintf(w, "\n%s\n\n", strings.ToUpper(t.Title)); err != nil {
			return err
		}
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, row := range t.Cells {
			fmt.Fprintln(tw, strings.Join(row, "\t"))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprint(w, "\nNOTES\n\n")
	for _, n := range r.Notes {
		if err == nil {
			_, err = fmt.Fprintf(w, "%s: %s\n", strings.TrimPrefix(n.Tool+", "+n.About, ", "), n.Text)
		}
	}
	return err
}

func (r Result) byClient(metric, title, text string) Table {
	head := []string{"tool"}
	for _, c := range Clients {
		head = append(head, c[0])
	}
	t := Table{Title: title, Text: text, Cells: [][]string{head}}
	for _, tool := range r.Tools() {
		row := []string{tool}
		for _, c := range Clients {
			row = append(row, r.cell(Key{Tool: tool, Client: c[0], Metric: metric}))
		}
		if slices.ContainsFunc(row[1:], func(s string) bool { return s != "" }) {
			t.Cells = append(t.Cells, row)
		}
	}
	return t
}

// inShort is for those who only look. Its clients do what those of libraries do: they look whether the server has closed a connection before
// they write on it.
func (r Result) inShort() Table {
	key := func(client, metric string) Key { return Key{Client: client, Metric: metric} }
	return r.columns("", "",
		[]string{"new connections: lost", "keep-alive: lost", "keep-alive at 10 ms of round trip: lost", "HTTP/2 POSTs: lost", "keep-alive over TLS: reconnects"},
		key("new", Failures), key("fincheck", Failures), key("rtt10", Failures), key("h2 POST", Failures), key("tls", Reconnects))
}

// cell writes a figure, and its range if there is one.
func (r Result) cell(k Key) string {
	row, ok := r.Get(k)
	if !ok {
		return ""
	}
	if low, mid, high := Short(row.Low), Short(row.Mid), Short(row.High); low != high {
		return fmt.Sprintf("%s (%s to %s)", mid, low, high)
	}
	return Short(row.Mid)
}

// Short writes three digits, which is more than repeats agree on.
func Short(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 10:
		return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".")
	case v < 100:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	}
	return fmt.Sprintf("%.0f", v)
}

// columns makes a table with a column for each key; those of a tool without any figure stay away.
func (r Result) columns(title, text string, heads []string, keys ...Key) Table {
	t := Table{Title: title, Text: text, Cells: [][]string{append([]string{"tool"}, heads...)}}
	for _, tool := range r.Tools() {
		row, any := []string{tool}, false
		for _, k := range keys {
			k.Tool = tool
			cell := r.cell(k)
			row, any = append(row, cell), any || cell != ""
		}
		if any {
			t.Cells = append(t.Cells, row)
		}
	}
	return t
}

func metrics(names ...string) []Key {
	keys := make([]Key, len(names))
	for i, name := range names {
		keys[i].Metric = name
	}
	return keys
}

func (r Result) times() Table {
	t := r.columns("Times and memory",
		"Times are from the signal on. \"Old still there\" is how many upgrades found the old process alive at the limit; \"gone\" is then that limit. "+
			"Memory is that of a program with one client, before an upgrade, and after one while the old process has to stay for that client. "+
			"\"Resumed\" is the part of the TLS connections opened again that resumed a session; it is empty where none had to be opened.",
		[]string{"ready, ms", "old gone, ms", "old still there", "memory, MB", "memory of both, MB", "TLS resumed, %"},
		metrics(Ready, Gone, Lingering, Memory, Both, Resumed)...)
	return t
}

func (r Result) latency() Table {
	var heads []string
	var keys []Key
	for _, p := range Percentiles {
		heads = append(heads, p+" before, ms", p+" after, ms")
		keys = append(keys, metrics(Before(p), After(p))...)
	}
	return r.columns("Latency of the clients `new` and `busy`",
		"Requests begun in the 200 ms after the signal, against those of the 200 ms before it. Only what was answered counts.", heads, keys...)
}

func (r Result) longLived() Table {
	return r.columns("Long connections",
		"One response that goes on for ever is held, and ten upgrades are asked for, one after the other. Streams are hijacked connections, as those of WebSockets, over one upgrade.",
		[]string{"upgrades done, of 10", "held response cut, of 1", "streams broken, %"},
		metrics(HeldDone, HeldLost, Streams)...)
}

func (r Result) idle() []Table {
	var tables []Table
	for _, client := range []string{"http", "https"} {
		t := Table{
			Title: "Idle connections of gozd, " + client,
			Text:  "All are kept, have done a request before, and do one after the upgrade, on the same connection.",
			Cells: [][]string{{"connections", "moved", "took, ms", "memory before, MB", "memory of both, MB"}},
		}
		for _, x := range r.Xs("gozd", client, Moved) {
			row := []string{fmt.Sprint(x)}
			for _, metric := range []string{Moved, MoveMS, IdleMemory, IdleBoth} {
				row = append(row, r.cell(Key{"gozd", client, metric, x}))
			}
			t.Cells = append(t.Cells, row)
		}
		if len(t.Cells) > 1 {
			tables = append(tables, t)
		}
	}
	return tables
}
