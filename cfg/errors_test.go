package cfg_test

import (
	"testing"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
)

func TestErrorText(t *testing.T) {
	tests := []struct {
		name string
		err  cfg.Error
		want string
	}{
		{"message only", cfg.Error{Msg: "m"}, "m"},
		{"file", cfg.Error{File: "f", Msg: "m"}, "f: m"},
		{"line", cfg.Error{Line: 7, Msg: "m"}, "line 7: m"},
		{"file and line", cfg.Error{File: "f", Line: 7, Msg: "m"}, "f:7: m"},
		{"section", cfg.Error{Section: "s", Msg: "m"}, "[s]: m"},
		{"variable", cfg.Error{File: "f", Line: 7, Variable: "V", Section: "s", Msg: "m"}, "$V: [s]: m"},
		{"suggestion", cfg.Error{Msg: "m", Suggestion: "n"}, `m (did you mean "n"?)`},
		{"key and value are for programs", cfg.Error{Key: "k", Value: "v", Msg: "m"}, "m"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("Error() = %q, want %q", got, tt.want)
			}
		})
	}
}
