package tlswatch_test

import (
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
	"testing"
)

func TestSelfTest(t *testing.T) {
	if err := tlswatch.SelfTest(); err != nil {
		t.Fatal(err)
	}
}
