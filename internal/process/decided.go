package process

import (
	"fmt"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/early"
)

// decidedEnv says for whom a process has been started, by whoever has decided that: apart from the starter's terminal, session and keys, or not.
const decidedEnv = "GOZD_BECOMES"

// decided is that variable as it was when this process was started; "" where nobody has decided.
var decided = early.NoteMark(decidedEnv)

// Decided returns the variable for a process that is started to become id, nil for nobody else. This process's own goes.
func Decided(id *Identity) string {
	decided.Take()
	return decidedEnv + "=" + id.String()
}

// Keeps returns an error where this process has been started for somebody else than id. It looks at the configuration and the accounts once more
// than its starter, and they may have changed between.
func (id *Identity) Keeps() error {
	was, is := decided.Text(), id.String()
	if was == "" || was == is {
		return nil
	}
	return fmt.Errorf("this process has been started for %s, and is now to become %s: the configuration or the system's accounts have changed meanwhile: start it again", was, is)
}

// TakeDecided keeps the decision from the processes that the program starts.
func TakeDecided() { decided.Take() }

func (id *Identity) String() string {
	if id == nil {
		return "nobody else"
	}
	return fmt.Sprintf("user %d, group %d", id.UID, id.GID)
}
