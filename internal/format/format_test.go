package format_test

import (
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/config"
)

// This test's program imports no format.
func TestFormatThatTheProgramDoesNotRead(t *testing.T) {
	for file, want := range map[string]string{
		"app.yaml":      `app.yaml: this program does not read YAML: for that it needs import _ "bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg/yaml"`,
		"/etc/APP.YML":  `/etc/APP.YML: this program does not read YAML: for that it needs import _ "bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg/yaml"`,
		"app.toml":      `app.toml: this program does not read TOML: for that it needs import _ "bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg/toml"`,
		"app.json":      `app.json: this program does not read JSON: for that it needs import _ "bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg/json"`,
		"app.yaml.conf": "app.yaml.conf: no group: the daemon would listen nowhere",
	} {
		if c, err := config.Parse(file, nil, config.Options{Environ: []string{}}); err == nil || err.Error() != want {
			t.Errorf("Parse(%q) = %v, %v\nwant %s", file, c, err, want)
		}
	}
}
