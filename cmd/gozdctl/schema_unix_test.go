//go:build unix

package main

import "testing"

// A schema that lets everything pass would be none.
func TestSchemaRefuses(t *testing.T) {
	good := `{"command":"upgrade","exit_status":0,"pidfile":"a","serving":{"generation":2,"pid":7},"seconds":0.1,"upgrade":{"old":{"generation":1,"pid":6}}}`
	if err := validateLines(good); err != nil {
		t.Errorf("a good outcome is refused: %v", err)
	}
	for name, line := range map[string]string{
		"nothing":                      "",
		"no JSON":                      "upgraded",
		"no command":                   `{"exit_status":0}`,
		"unknown command":              `{"command":"kill","exit_status":1,"error":"no"}`,
		"unknown status":               `{"command":"stop","exit_status":6,"error":"no"}`,
		"unknown field":                `{"command":"stop","exit_status":1,"error":"no","colour":"red"}`,
		"failure without an error":     `{"command":"stop","exit_status":1}`,
		"success with an error":        `{"command":"version","exit_status":0,"error":"no","version":{}}`,
		"upgrade without who serves":   `{"command":"upgrade","exit_status":0,"pidfile":"a","seconds":0.1,"upgrade":{"old":{"generation":1,"pid":6}}}`,
		"status without a status":      `{"command":"status","exit_status":0,"pidfile":"a"}`,
		"generation without a PID":     `{"command":"reopen","exit_status":0,"pidfile":"a","asked":{"generation":1}}`,
		"status without a generation":  `{"command":"status","exit_status":0,"pidfile":"a","status":{"pidfile":"a","config":"b","generation":1,"generations":[],"upgrades":{"in_progress":false,"succeeded":0,"failed":0}}}`,
		"negative number of seconds":   `{"command":"start","exit_status":0,"seconds":-1}`,
		"two lines, the second is bad": good + "\n{}",
	} {
		if err := validateLines(line); err == nil {
			t.Errorf("%s: the schema lets it pass", name)
		}
	}
}
