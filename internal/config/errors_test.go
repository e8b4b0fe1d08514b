package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

// parseErrors checks the whole text of the error that data gives.
func parseErrors(t *testing.T, file, data string, want ...string) {
	t.Helper()
	c, err := config.Parse(file, []byte(data), noEnviron)
	if err == nil {
		t.Fatalf("Parse has no error, want\n%s", strings.Join(want, "\n"))
	}
	if got := err.Error(); c != nil || got != strings.Join(want, "\n") {
		t.Errorf("Parse = %v,\n%s\nwant\n%s", c, got, strings.Join(want, "\n"))
	}
}

// ok is a group with nothing wrong in it, of two lines after its header.
const ok = "[ok]\nmode http\nlisten 80\n"

func TestSectionErrors(t *testing.T) {
	tests := []struct {
		name, data, want string
	}{
		{"nothing", "", "app.conf: no group: the daemon would listen nowhere"},
		{"only the daemon", "[gozd]\nuser x", "app.conf: no group: the daemon would listen nowhere"},
		{"group with nothing in it", ok + "[web]", "app.conf:4: [web]: section has nothing in it"},
		{"daemon with nothing in it", "[gozd]\n" + ok, "app.conf:1: [gozd]: section has nothing in it"},
		{"daemon in capitals", "[GOZD]\nuser x\n" + ok, "app.conf:1: [GOZD]: the daemon's own section is spelled [gozd], and no group can have that name"},
		{"unknown key", "[web]\nmode tcp\nlistne 80\n", `app.conf:3: [web]: unknown key "listne" (did you mean "listen"?)`},
		{"key in capitals", "[web]\nMode tcp\nlisten 80\n", `app.conf:2: [web]: unknown key "Mode" (did you mean "mode"?)`},
		{"key with a colon", "[web]\nmode: tcp\nlisten 80\n", `app.conf:2: [web]: "mode:" is not a key (did you mean "mode"?)`},
		{"unknown key like no other", ok + "[web]\nmode tcp\nlisten 81\ncolour red", `app.conf:7: [web]: unknown key "colour"`},
		{"section of unknown keys", ok + "[gozd]\ncolour red", `app.conf:5: [gozd]: unknown key "colour"`},
		{"key of the daemon in a group", ok + "user x", `app.conf:4: [ok]: unknown key "user": it belongs in [gozd]`},
		{"key of a group in the daemon", ok + "[gozd]\ndrain_timeout 1m", `app.conf:5: [gozd]: unknown key "drain_timeout": it belongs in a group`},
		{"key without a value", "[web]\nmode tcp\nlisten", "app.conf:3: [web]: listen needs a value"},
		{"empty value", "[web]\nmode tcp\nlisten \"\"", "app.conf:3: [web]: listen needs a value"},
		{"key twice", ok + "mode tcp", "app.conf:4: [ok]: mode is already in line 2"},
		{"section twice", ok + "[ok]\ncolour red", "app.conf:4: [ok]: section is already in line 1"},
		{"key before any section", "mode tcp\n" + ok, `app.conf:1: "mode" stands before any section`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { parseErrors(t, "app.conf", tt.data, tt.want) })
	}
}

func TestGroupErrors(t *testing.T) {
	tests := []struct {
		name, data, want string
	}{
		{"no mode", "listen 80", "app.conf:1: [web]: mode is missing"},
		{"no listen", "mode tcp", "app.conf:1: [web]: listen is missing"},
		{"misspelt mode", "mode htpp\nlisten 80", `app.conf:2: [web]: unknown mode "htpp" (did you mean "http"?)`},
		{"mode in capitals", "mode HTTP\nlisten 80", `app.conf:2: [web]: unknown mode "HTTP" (did you mean "http"?)`},
		{"unknown mode", "mode sctp\nlisten 80", `app.conf:2: [web]: unknown mode "sctp" (did you mean "tcp"?)`},
		{"mode like no other", "mode websocket\nlisten 10.0.0.1", `app.conf:2: [web]: unknown mode "websocket", it is one of tcp, http, https, fcgi, udp`},
		{"bad address", "mode http\nlisten localhost", `app.conf:3: [web]: listen: address "localhost": missing port in address`},
		{"no usual port", "mode tcp\nlisten ::1", `app.conf:3: [web]: listen: address "::1": the port is missing, and mode tcp has no usual one`},
		{"https without a key", "mode https\nlisten 443\ncert c.pem", "app.conf:1: [web]: key is missing: mode https needs one"},
		{"https without a certificate", "mode https\nlisten 443\nkey k.pem", "app.conf:1: [web]: cert is missing: mode https needs one"},
		{"more keys than certificates", "mode https\nlisten 443\nkey a, b\ncert c.pem", "app.conf:5: [web]: cert and key have to name as many files, in the same order: there are 1 and 2"},
		{"comma at the end", "mode https\nlisten 443\nkey a,\ncert c.pem", `app.conf:4: [web]: key "a," has a comma without a file before or after it`},
		{"authorities without https", "mode http\nlisten 80\nclient_ca c.pem", "app.conf:4: [web]: client_ca is for mode https only"},
		{"key without https", "mode http\nlisten 80\nkey k.pem", "app.conf:4: [web]: key is for mode https only"},
		{"certificate without https", "mode tcp\nlisten 80\ncert c.pem", "app.conf:4: [web]: cert is for mode https only"},
		{"HTTP/2 without https", "mode http\nlisten 80\nhttp2 no", "app.conf:4: [web]: http2 is for mode https only"},
		{"HTTP/2, perhaps", "mode https\nlisten 443\nkey k.pem\ncert c.pem\nhttp2 maybe", `app.conf:6: [web]: unknown http2 "maybe", it is one of yes, no`},
		{"moving TLS without https", "mode http\nlisten 80\nmove_tls no", "app.conf:4: [web]: move_tls is for mode https only"},
		{"moving TLS, perhaps", "mode https\nlisten 443\nkey k.pem\ncert c.pem\nmove_tls maybe", `app.conf:6: [web]: unknown move_tls "maybe", it is one of yes, no`},
		{"socket_mode without a socket", "mode tcp\nlisten 80\nsocket_mode 0600", "app.conf:4: [web]: socket_mode is for the path of a Unix socket only"},
		{"socket_owner without a socket", "mode tcp\nlisten 80\nsocket_owner www", "app.conf:4: [web]: socket_owner is for the path of a Unix socket only"},
		{"socket_mode without a path", "mode tcp\nlisten @a\nsocket_mode 0600", "app.conf:4: [web]: socket_mode is for the path of a Unix socket only"},
		{"socket_mode too large", "mode tcp\nlisten /a\nsocket_mode 01777", `app.conf:4: [web]: socket_mode "01777" is not an octal mode from "0000" to "0777"`},
		{"socket_mode not octal", "mode tcp\nlisten /a\nsocket_mode 0680", `app.conf:4: [web]: socket_mode "0680" is not an octal mode from "0000" to "0777"`},
		{"socket_mode in letters", "mode tcp\nlisten /a\nsocket_mode rw-", `app.conf:4: [web]: socket_mode "rw-" is not an octal mode from "0000" to "0777"`},
		{"socket_owner without a user", "mode tcp\nlisten /a\nsocket_owner :www", `app.conf:4: [web]: socket_owner ":www" is not of the form "user" or "user:group"`},
		{"socket_owner without a group", "mode tcp\nlisten /a\nsocket_owner www:", `app.conf:4: [web]: socket_owner "www:" is not of the form "user" or "user:group"`},
		{"socket_owner of three", "mode tcp\nlisten /a\nsocket_owner a:b:c", `app.conf:4: [web]: socket_owner "a:b:c" is not of the form "user" or "user:group"`},
		{"duration without unit", "mode tcp\nlisten 80\nstop_timeout 10", `app.conf:4: [web]: stop_timeout "10" needs a unit, as in "10s"`},
		{"spread without unit", "mode http\nlisten 80\nspread 10", `app.conf:4: [web]: spread "10" needs a unit, as in "10s"`},
		{"spread of a mode that has none", "mode tcp\nlisten 80\nspread 10s", `app.conf:4: [web]: spread is for modes http and https only`},
		{"spread over more than there is", "mode http\nlisten 80\ndrain_timeout 10s\nspread 11s", `app.conf:5: [web]: spread "11s" is longer than drain_timeout 10s: some clients would be cut before they are told`},
		{"zero without unit", "mode tcp\nlisten 80\nstop_timeout 0", `app.conf:4: [web]: stop_timeout "0" needs a unit, as in "10s"`},
		{"no duration", "mode tcp\nlisten 80\ndrain_timeout 5 minutes", `app.conf:4: [web]: drain_timeout "5 minutes" is not a duration, as in "1m30s"`},
		{"drain for ever", "mode tcp\nlisten 80\ndrain_timeout 9000h", `app.conf:4: [web]: drain_timeout "9000h" is too long: it can be 8784h, a year, at most`},
		{"stop for ever", "mode tcp\nlisten 80\nstop_timeout 9000h", `app.conf:4: [web]: stop_timeout "9000h" is too long: it can be 8784h, a year, at most`},
		{"spread for ever", "mode http\nlisten 80\nspread 9000h", `app.conf:4: [web]: spread "9000h" is too long: it can be 8784h, a year, at most`},
		{"negative duration", "mode tcp\nlisten 80\ndrain_timeout -1s", `app.conf:4: [web]: drain_timeout "-1s" is negative`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { parseErrors(t, "app.conf", "[web]\n"+tt.data, tt.want) })
	}
}

func TestDaemonErrors(t *testing.T) {
	tests := []struct {
		name, data, want string
	}{
		{"empty PID file", `pidfile ""`, "app.conf:5: [gozd]: pidfile needs a value"},
		{"no files", "max_files 0", `app.conf:5: [gozd]: max_files "0" is not a whole number of 1 or more`},
		{"negative files", "max_files -1", `app.conf:5: [gozd]: max_files "-1" is not a whole number of 1 or more`},
		{"files in words", "max_files many", `app.conf:5: [gozd]: max_files "many" is not a whole number of 1 or more`},
		{"too many files", "max_files 9223372036854775808", `app.conf:5: [gozd]: max_files "9223372036854775808" is too large`},
		{"one generation", "max_generations 1", `app.conf:5: [gozd]: max_generations "1" is not a whole number of 2 or more`},
		{"too many generations", "max_generations 2147483648", `app.conf:5: [gozd]: max_generations "2147483648" is too large`},
		{"no time to upgrade", "upgrade_timeout 0s", `app.conf:5: [gozd]: upgrade_timeout "0s" is too short: it has to be over 0`},
		{"negative time to upgrade", "upgrade_timeout -1m", `app.conf:5: [gozd]: upgrade_timeout "-1m" is negative`},
		{"time to upgrade without unit", "upgrade_timeout 60", `app.conf:5: [gozd]: upgrade_timeout "60" needs a unit, as in "10s"`},
		{"time to upgrade that overflows a sum", "upgrade_timeout 2562047h47m", `app.conf:5: [gozd]: upgrade_timeout "2562047h47m" is too long: it can be 8784h, a year, at most`},
		{"probation for ever", "probation 8784h1ns", `app.conf:5: [gozd]: probation "8784h1ns" is too long: it can be 8784h, a year, at most`},
		{"negative probation", "probation -1ns", `app.conf:5: [gozd]: probation "-1ns" is negative`},
		{"unknown log format", "log_format xml", `app.conf:5: [gozd]: unknown log_format "xml", it is one of text, json`},
		{"umask not octal", "umask 0o27", `app.conf:5: [gozd]: umask "0o27" is not an octal mode from "0000" to "0777"`},
		{"umask too large", "umask 1000", `app.conf:5: [gozd]: umask "1000" is not an octal mode from "0000" to "0777"`},
		{"unknown supervise", "supervise maybe", `app.conf:5: [gozd]: unknown supervise "maybe", it is one of auto, yes, no`},
		{"misspelt supervise", "supervise atuo", `app.conf:5: [gozd]: unknown supervise "atuo" (did you mean "auto"?)`},
		{"unknown fdstore", "fdstore auto", `app.conf:5: [gozd]: unknown fdstore "auto", it is one of yes, no`},
		{"fdstore and nobody", "supervise no\nfdstore yes", `app.conf:6: [gozd]: fdstore yes: with supervise no nobody speaks to systemd`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { parseErrors(t, "app.conf", ok+"[gozd]\n"+tt.data, tt.want) })
	}
}

func TestConflictErrors(t *testing.T) {
	tests := []struct {
		name, first, second, want string
	}{
		{"same address", "10.0.0.1:80", "10.0.0.1:80", "listen 10.0.0.1:80 is taken: [a], line 3 listens on 10.0.0.1:80"},
		{"same address in other words", "::1", "[0::1]:80", "listen [::1]:80 is taken: [a], line 3 listens on [::1]:80"},
		{"usual port", "80", "127.0.0.1", "listen 127.0.0.1:80 is taken: [a], line 3 listens on :80"},
		{"all of IPv4", "127.0.0.1:80", "0.0.0.0:80", "listen 0.0.0.0:80 is taken: [a], line 3 listens on 127.0.0.1:80"},
		{"same path", "/etc/x", "unix:x", "listen /etc/x is taken: [a], line 3 listens on /etc/x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := "[a]\nmode http\nlisten " + tt.first + "\n[b]\nmode http\nlisten " + tt.second
			parseErrors(t, "/etc/app.conf", data, "/etc/app.conf:6: [b]: "+tt.want)
		})
	}
	t.Run("without lines", func(t *testing.T) {
		parseErrors(t, "app.yaml", "b: {mode: http, listen: 80}\na: {mode: http, listen: 80}",
			"app.yaml: [b]: listen :80 is taken: [a] listens on :80")
	})
}

// The limit counts for what a relative path becomes, not for what was written.
func TestSocketPathLimitAppliesToTheAbsolutePath(t *testing.T) {
	dir := "/" + strings.Repeat("d", 100)
	_, err := config.Parse(dir+"/app.conf", []byte("[a]\nmode tcp\nlisten unix:x.sock"), noEnviron)
	if err == nil || !strings.Contains(err.Error(), "[a]: listen: a socket's path has at most 10") {
		t.Errorf("Parse = %v, want an error about the length", err)
	}
	if _, err := config.Parse("/app.conf", []byte("[a]\nmode tcp\nlisten unix:x.sock"), noEnviron); err != nil {
		t.Error(err)
	}
}

// A key that is there again and again is one mistake in each line, and not one with each line before.
func TestYAMLKeyInEveryLine(t *testing.T) {
	const n = 1000
	_, err := config.Parse("app.yaml", []byte("web:\n"+strings.Repeat("  mode: tcp\n", n)), noEnviron)
	if got := strings.Count(fmt.Sprint(err), "already defined at line 2"); got != n-1 {
		t.Errorf("%d mistakes, want %d", got, n-1)
	}
}

func TestOtherFormatsErrors(t *testing.T) {
	const notSections = "the file is not made of sections"
	tests := []struct {
		name, file, data string
		want             []string
	}{
		{"YAML syntax", "app.yaml", "web:\n  mode: http\n listen: 80", []string{"app.yaml:2: did not find expected key"}},
		{"YAML list", "app.yaml", "- web", []string{"app.yaml:1: " + notSections}},
		{"YAML keys twice", "app.yaml", "web:\n  mode: http\n  mode: tcp\nweb2:\n  mode: http\n  mode: tcp\n", []string{
			`app.yaml:3: mapping key "mode" already defined at line 2`,
			`app.yaml:6: mapping key "mode" already defined at line 5`,
		}},
		{"YAML, nothing", "app.yaml", "", []string{"app.yaml: no group: the daemon would listen nowhere"}},
		{"YAML null", "app.yaml", "web:\n", []string{"app.yaml: [web]: section has nothing in it"}},
		{"YAML value null", "app.yaml", "web: {mode: tcp, listen: }", []string{"app.yaml: [web]: listen needs a value"}},
		{"YAML value outside a section", "app.yaml", "web: {mode: tcp, listen: 1}\nfoo: 1", []string{`app.yaml: "foo" is not a section: every value belongs in one`}},
		{"YAML list of other than files", "app.yaml", "web: {mode: https, listen: 443, cert: c.pem, key: [[a], b]}", []string{"app.yaml: [web]: key is not a single value"}},
		{"empty YAML list", "app.yaml", "web: {mode: https, listen: 443, cert: c.pem, key: []}", []string{"app.yaml: [web]: key needs a value"}},
		{"YAML list for a value", "app.yaml", "web: {mode: tcp, listen: [80, 81]}", []string{"app.yaml: [web]: listen is not a single value"}},
		{"YAML name with a space", "app.yaml", "we b: {mode: tcp, listen: 80}", []string{`app.yaml: "we b" is not a name for a section: ` +
			`it takes ASCII letters, digits, _, - and ., begins with a letter or digit, and has at most 64 bytes`}},
		{"YAML umask", "app.yaml", "gozd: {umask: 027}\nweb: {mode: tcp, listen: /a}", []string{
			`app.yaml: [gozd]: umask has to be in quotes, as in "0660": a number may not be the one that was written`,
		}},
		{"YAML user", "app.yaml", "gozd: {user: 0100}\na: {mode: tcp, listen: /a, socket_owner: 100}", []string{
			`app.yaml: [a]: socket_owner has to be in quotes, as in "1000": a number may not be the one that was written`,
			`app.yaml: [gozd]: user has to be in quotes, as in "1000": a number may not be the one that was written`,
		}},
		{"YAML socket_mode", "app.yaml", "web: {mode: tcp, listen: /a, socket_mode: 0660}", []string{
			`app.yaml: [web]: socket_mode has to be in quotes, as in "0660": a number may not be the one that was written`,
		}},
		{"YAML truth", "app.yaml", "web: {mode: tcp, listen: true}", []string{"app.yaml: [web]: listen cannot be true"}},
		{"YAML fraction", "app.yaml", "web: {mode: tcp, listen: 80.5}", []string{`app.yaml: [web]: listen: address "80.5": missing port in address`}},
		{"YAML duration without unit", "app.yaml", "web: {mode: tcp, listen: 80, stop_timeout: 10}", []string{`app.yaml: [web]: stop_timeout "10" needs a unit, as in "10s"`}},
		{"YAML NUL", "app.yaml", `web: {mode: https, listen: 80, key: "a\0b", cert: c}`, []string{"app.yaml: [web]: key is not valid UTF-8, or holds a NUL byte"}},
		{"YAML daemon in capitals", "app.yaml", "Gozd: {user: x}", []string{"app.yaml: [Gozd]: the daemon's own section is spelled [gozd], and no group can have that name"}},
		{"TOML syntax", "app.toml", "[web]\nmode = http", []string{"app.toml:2: incomplete number"}},
		{"TOML section twice", "app.toml", "[web]\n[web]", []string{"app.toml: table web already exists"}},
		{"TOML section in a section", "app.toml", "[web.a]\nmode = 'tcp'\n[web]\nmode = 'tcp'\nlisten = 80", []string{`app.toml: [web]: unknown key "a"`}},
		{"TOML list of sections", "app.toml", "[[web]]\nmode = 'tcp'", []string{`app.toml: "web" is not a section: every value belongs in one`}},
		{"TOML date", "app.toml", "[web]\nmode = 'tcp'\nlisten = 1979-05-27", []string{"app.toml: [web]: listen is not a single value"}},
		{"TOML socket_mode", "app.toml", "[web]\nmode = 'tcp'\nlisten = '/a'\nsocket_mode = 0o660", []string{
			`app.toml: [web]: socket_mode has to be in quotes, as in "0660": a number may not be the one that was written`,
		}},
		{"JSON syntax", "app.json", "{\n\"web\": {\n]}", []string{"app.json:3: invalid character ']' looking for beginning of object key string"}},
		{"JSON ends early", "app.json", "{", []string{"app.json:1: unexpected end of JSON input"}},
		{"JSON list", "app.json", "[]", []string{"app.json: " + notSections}},
		{"JSON keys twice", "app.json", "{\"web\": {\"mode\": \"tcp\",\n\"mode\": \"tcp\", \"listen\": 80},\n\"web\": {\"mode\": \"tcp\", \"listen\": 80}}", []string{
			`app.json:2: [web]: "mode" is already defined`,
			`app.json:3: "web" is already defined`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { parseErrors(t, tt.file, tt.data, tt.want...) })
	}
}

// A run of a daemon's start for each mistake is what makes people guess.
func TestAllErrorsAreReportedAtOnce(t *testing.T) {
	parseErrors(t, "app.conf", `[web]
mode      htp
listen    80:80:80
stop_time 3s

[api
mode http

[tls]
mode   https
listen 80
stop_timeout

[gozd]
max_files = 0
colour red

[tcp]
mode tcp
listen 127.0.0.1:80
`,
		`app.conf:2: [web]: unknown mode "htp" (did you mean "http"?)`,
		`app.conf:3: [web]: listen: address "80:80:80": too many colons in address`,
		`app.conf:4: [web]: unknown key "stop_time" (did you mean "stop_timeout"?)`,
		`app.conf:6: section has no closing "]"`,
		`app.conf:9: [tls]: key is missing: mode https needs one`,
		`app.conf:9: [tls]: cert is missing: mode https needs one`,
		`app.conf:12: [tls]: stop_timeout needs a value`,
		`app.conf:15: [gozd]: max_files "0" is not a whole number of 1 or more`,
		`app.conf:16: [gozd]: unknown key "colour"`,
		`app.conf:20: [tcp]: listen 127.0.0.1:80 is taken: [tls], line 11 listens on :80`,
	)
}

func TestErrorsCanBeTakenApart(t *testing.T) {
	_, err := config.Parse("app.conf", []byte("[web]\nmode htpp\nlistne 80"), noEnviron)
	var first *cfg.Error
	if !errors.As(err, &first) {
		t.Fatalf("%T holds no *Error", err)
	}
	want := cfg.Error{
		File: "app.conf", Line: 2, Section: "web", Key: "mode", Value: "htpp",
		Msg: `unknown mode "htpp"`, Suggestion: "http",
	}
	if *first != want {
		t.Errorf("first error is %+v\nwant %+v", *first, want)
	}
	if all := err.(cfg.Errors); len(all) != 2 || all[1].Key != "listne" {
		t.Errorf("errors are %v, want two, the second about listne", all)
	}
}

func TestSuggest(t *testing.T) {
	words := []string{"listen", "mode", "key", "drain_timeout", "stop_timeout"}
	tests := []struct{ name, word, want string }{
		{"swapped", "listne", "listen"},
		{"left out", "liten", "listen"},
		{"put in", "listenn", "listen"},
		{"mistaken", "lisden", "listen"},
		{"case", "LISTEN", "listen"},
		{"other separator", "drain-timeout", "drain_timeout"},
		{"no separator", "draintimeout", "drain_timeout"},
		{"the nearest", "slop_timeout", "stop_timeout"},
		{"too far", "timeout", ""},
		{"too short", "ke", ""},
		{"empty", "", ""},
		{"too long", strings.Repeat("listen", 11), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := config.Suggest(tt.word, words); got != tt.want {
				t.Errorf("Suggest(%q) = %q, want %q", tt.word, got, tt.want)
			}
		})
	}
}
