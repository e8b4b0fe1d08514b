package tickets_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"
)

// FuzzSecrets takes over what another generation has sent: what comes out of it makes new tickets now,
// opens no others than those of a lifetime, and is no more than that.
func FuzzSecrets(f *testing.F) {
	for _, secrets := range [][]tickets.Secret{nil, tickets.Rotate(nil, start), tickets.Rotate(tickets.Rotate(nil, start), start.Add(tickets.Rotation))} {
		text, err := json.Marshal(secrets)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, int64(0))
		f.Add(text, int64(tickets.Lifetime))
	}
	f.Add([]byte(`[{"created":"0001-01-01T00:00:00Z"},{"created":"9999-12-31T23:59:59Z","bytes":"AA=="},{}]`), int64(-1))
	f.Fuzz(func(t *testing.T, text []byte, after int64) {
		var heard []tickets.Secret
		if json.Unmarshal(text, &heard) != nil {
			return
		}
		now := start.Add(time.Duration(after))
		before := slices.Clone(heard)
		secrets := tickets.Rotate(heard, now)
		if !slices.EqualFunc(heard, before, func(a, b tickets.Secret) bool { return a.Created.Equal(b.Created) }) {
			t.Error("Rotate has changed what it was given")
		}
		if most := int(tickets.Lifetime/tickets.Rotation) + 1; len(secrets) == 0 || len(secrets) > most {
			t.Fatalf("%d secrets, want 1 to %d", len(secrets), most)
		}
		if next := tickets.Next(secrets, now); next <= 0 || next > tickets.Rotation {
			t.Errorf("the next secret comes in %v", next)
		}
		for _, s := range secrets {
			if age := now.Sub(s.Created); age < 0 || age >= tickets.Lifetime {
				t.Errorf("a secret is %v old", age)
			}
		}
		if k, err := tickets.Keys(secrets, "web", nil); err != nil || len(k) != len(secrets) {
			t.Errorf("%d keys of %d secrets, %v", len(k), len(secrets), err)
		}
	})
}
