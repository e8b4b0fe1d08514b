package tickets

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"
)

// The same times as those of crypto/tls, which rotates its own keys when nobody
// sets any (ticketKeyLifetime and ticketKeyRotation, go1.26). RFC 8446, 4.6.1
// allows no ticket to live longer than seven days.
const (
	// Rotation is how long a secret makes new tickets.
	Rotation = 24 * time.Hour
	// Lifetime is how long a secret opens the tickets that it has made.
	Lifetime = 7 * 24 * time.Hour
)

// maxSecrets are those of one lifetime, and the one that is in use.
const maxSecrets = int(Lifetime/Rotation) + 1

// Secret is what the keys of one day are derived from.
type Secret struct {
	Created time.Time `json:"created"`
	Bytes   []byte    `json:"bytes"`
}

// Rotate returns secrets, which have the newest first, as they should be at the
// time now: with a new one in front if there is none or the first has done its
// time, and without those that are too old. One that was made in the future, by a
// clock that has been put back, has done its time too. The argument is not changed.
func Rotate(secrets []Secret, now time.Time) []Secret {
	var kept []Secret
	if len(secrets) == 0 || !within(secrets[0], now, Rotation) {
		kept = append(kept, newSecret(now))
	}
	for _, s := range secrets {
		if within(s, now, Lifetime) && len(kept) < maxSecrets {
			kept = append(kept, s)
		}
	}
	return kept
}

func within(s Secret, now time.Time, age time.Duration) bool {
	since := now.Sub(s.Created)
	return 0 <= since && since < age
}

func newSecret(now time.Time) Secret {
	b := make([]byte, sha256.Size)
	_, _ = rand.Read(b) // never fails (crypto/rand.Read)
	return Secret{Created: now.Round(0), Bytes: b}
}

// Next returns how long it is until Rotate would make a new secret.
func Next(secrets []Secret, now time.Time) time.Duration {
	if len(secrets) == 0 {
		return 0
	}
	return max(0, secrets[0].Created.Add(Rotation).Sub(now))
}

// Keys derives the keys for one server, in the order of secrets, for
// tls.Config.SetSessionTicketKeys. Servers of different names have different keys,
// and so has a server after its certificate, in DER, has changed: a client then sees the new certificate and not,
// for a week, the session that it had by the old one.
func Keys(secrets []Secret, server string, certificate []byte) ([][32]byte, error) {
	digest := sha256.Sum256(certificate)
	info := "gozd session ticket\x00" + server + "\x00" + string(digest[:])
	keys := make([][32]byte, 0, len(secrets))
	for _, s := range secrets {
		key, err := hkdf.Key(sha256.New, s.Bytes, nil, info, 32)
		if err != nil {
			return nil, fmt.Errorf("session ticket keys: %w", err)
		}
		keys = append(keys, [32]byte(key))
	}
	return slices.Clip(keys), nil
}
