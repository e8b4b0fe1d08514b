package pages

// packages are those that blocks of Go name without importing them.
var packages = map[string]string{
	"bufio":   "bufio",
	"context": "context",
	"errors":  "errors",
	"exec":    "os/exec",
	"fmt":     "fmt",
	"gozd":    modulePath,
	"grpc":    "google.golang.org/grpc",
	"grpcx":   modulePath + "/grpcx",
	"http":    "net/http",
	"httpx":   modulePath + "/httpx",
	"json":    "encoding/json",
	"log":     "log",
	"net":     "net",
	"slices":  "slices",
	"sql":     "database/sql",
	"tcpx":    modulePath + "/tcpx",
	"time":    "time",
	"tls":     "crypto/tls",
}

// given is what blocks of Go have of the program around them, by page and heading.
var given = map[string]string{
	"docs/connections.md#Reconnect storms": `
		type socket struct{}
		func (*socket) Close(code int, reason string) {}
		type list struct{}
		func (list) of(*http.Request) *socket { return nil }
		var (
			router  http.Handler
			sockets list
			ln      net.Listener
		)`,
	"docs/control.md#Monitoring": `
		var (
			router   http.ServeMux
			promhttp interface{ Handler() http.Handler }
		)`,
	"docs/overlap.md#Connection pools":              `var db *sql.DB`,
	"docs/overlap.md#Tickers, queues and cron jobs": `func sendReports(context.Context) {}`,
	"docs/overlap.md#Answers that do not end: server-sent events, long polling": `
		var (
			w      http.ResponseWriter
			r      *http.Request
			events chan struct{ ID int; Data string }
		)`,
	"docs/overlap.md#gRPC": `
		var (
			grpcServer http.Handler
			ln         net.Listener
			greeter    any
			pb         interface{ RegisterGreeterServer(s, greeter any) }
		)`,
	"docs/programming.md#What to call when": `var router http.Handler`,
	"docs/programming.md#How a hijacked connection hands over": `
		var routes http.Handler
		func answer(net.Conn, *http.Request) {}
		func converse(conn gozd.Conn, state []byte) {}
		func converseUntilItEnds(c net.Conn, state []byte) {}`,
	"docs/upgrade.md#Probation": `var db *sql.DB`,
}
