package tickets_test

import (
	"slices"
	"testing"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tickets"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func keys(t *testing.T, secrets []tickets.Secret, server, certificate string) [][32]byte {
	t.Helper()
	k, err := tickets.Keys(secrets, server, []byte(certificate))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestRotateMakesASecretADay(t *testing.T) {
	var secrets []tickets.Secret
	for day := range 20 {
		now := start.Add(time.Duration(day) * tickets.Rotation)
		before := secrets
		secrets = tickets.Rotate(secrets, now)
		if want := min(day+1, 7); len(secrets) != want {
			t.Errorf("day %d: %d secrets, want %d", day, len(secrets), want)
		}
		if !secrets[0].Created.Equal(now) {
			t.Errorf("day %d: the newest is of %v", day, secrets[0].Created)
		}
		if day > 0 && !slices.Equal(secrets[1].Bytes, before[0].Bytes) {
			t.Errorf("day %d: the newest of yesterday is not the second of today", day)
		}
		almost := now.Add(tickets.Rotation - time.Second)
		if same := tickets.Rotate(secrets, almost); !slices.Equal(same[0].Bytes, secrets[0].Bytes) {
			t.Errorf("day %d: rotated after less than a day", day)
		}
		if next := tickets.Next(secrets, almost); next != time.Second {
			t.Errorf("day %d: the next rotation is in %v, want 1s", day, next)
		}
	}
}

func TestRotateAfterALongPause(t *testing.T) {
	secrets := tickets.Rotate(nil, start)
	secrets = tickets.Rotate(secrets, start.Add(6*tickets.Rotation))
	if len(secrets) != 2 {
		t.Errorf("%d secrets after six days, want 2: tickets live for seven", len(secrets))
	}
	if secrets = tickets.Rotate(secrets, start.Add(30*tickets.Rotation)); len(secrets) != 1 {
		t.Errorf("%d secrets after a month, want 1", len(secrets))
	}
	if next := tickets.Next(secrets, start.Add(40*tickets.Rotation)); next != 0 {
		t.Errorf("the next rotation is in %v, want 0: it is overdue", next)
	}
	if next := tickets.Next(nil, start); next != 0 {
		t.Errorf("without secrets the next rotation is in %v, want 0", next)
	}
}

// A clock that was wrong when the first secret was made must not stop the rotation.
func TestRotateAfterTheClockWasPutBack(t *testing.T) {
	future := tickets.Rotate(nil, start.Add(100*tickets.Rotation))
	secrets := tickets.Rotate(future, start)
	if len(secrets) != 1 || !secrets[0].Created.Equal(start) {
		t.Errorf("secrets of %v, want one of %v", secrets, start)
	}
}

func TestRotateKeepsItsArgument(t *testing.T) {
	secrets := tickets.Rotate(nil, start)
	first := slices.Clone(secrets)
	tickets.Rotate(secrets, start.Add(tickets.Rotation))
	if !slices.EqualFunc(first, secrets, func(a, b tickets.Secret) bool { return slices.Equal(a.Bytes, b.Bytes) }) {
		t.Error("the argument has changed")
	}
}

func TestKeysBelongToServerAndCertificate(t *testing.T) {
	secrets := tickets.Rotate(tickets.Rotate(nil, start), start.Add(tickets.Rotation))
	one := keys(t, secrets, "web", "cert")
	if len(one) != 2 || one[0] == one[1] {
		t.Fatalf("keys %x, want two different ones", one)
	}
	if again := keys(t, secrets, "web", "cert"); !slices.Equal(one, again) {
		t.Error("the same secrets give other keys: no session would resume in another process")
	}
	for _, other := range [][][32]byte{keys(t, secrets, "shop", "cert"), keys(t, secrets, "web", "renewed")} {
		if other[0] == one[0] || other[1] == one[1] {
			t.Error("another server, or certificate, has the same keys")
		}
	}
}
