package tlswatch_test

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/require"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/testutil/tlspeer"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlsrec"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/tlswatch"
)

// TestThaw goes on after a move that was refused, and once more where tls.Conn was used meanwhile.
func TestThaw(t *testing.T) {
	s := serve(t, tlspeer.ServerConfig(t))
	idle(t, s.tls)
	_, err := s.watched.Freeze()
	require.NoError(t, err)
	idle(t, s.tls) // a Read is as at a deadline
	if _, err := s.watched.Freeze(); !errors.Is(err, tlsrec.Frozen) {
		t.Errorf("frozen twice: %v", err)
	}
	s.watched.Thaw()
	s.watched.Thaw()
	ask(t, s.raw, s.tls, "after it")
	idle(t, s.tls)
	agree(t, s.watched, s.tls)

	_, err = s.watched.Freeze()
	require.NoError(t, err)
	before := len(s.wire.Written())
	if _, err := s.tls.Write([]byte("meanwhile")); !errors.Is(err, tlsrec.Frozen) {
		t.Errorf("written while frozen: %v", err)
	}
	s.watched.Thaw()
	if _, err := s.watched.Freeze(); !errors.Is(err, tlsrec.Closed) {
		t.Errorf("frozen although a write was refused: %v", err)
	}
	if _, err := s.tls.Write([]byte("after")); err == nil || len(s.wire.Written()) != before {
		t.Errorf("written after a write was refused: %v", err)
	}
}

// TestFrozenIsSilent closes a frozen connection, before the audit and without.
func TestFrozenIsSilent(t *testing.T) {
	for name, do := range map[string]func(s served) error{
		"Close":              func(s served) error { _ = s.tls.Close(); return nil },
		"CloseWrite, Close":  func(s served) error { _ = s.tls.CloseWrite(); return s.watched.Audit(s.tls) },
		"Audit":              func(s served) error { return s.watched.Audit(s.tls) },
		"Audit twice":        func(s served) error { return errors.Join(s.watched.Audit(s.tls), s.watched.Audit(s.tls)) },
		"Audit after Close":  func(s served) error { _ = s.tls.Close(); return s.watched.Audit(s.tls) },
		"Audit after Write":  func(s served) error { _, _ = s.tls.Write([]byte("a")); return s.watched.Audit(s.tls) },
		"Audit, then Writes": func(s served) error { err := s.watched.Audit(s.tls); _, _ = s.tls.Write([]byte("a")); return err },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, tlspeer.ServerConfig(t))
			ask(t, s.raw, s.tls, "hello")
			idle(t, s.tls)
			_, err := s.watched.Freeze()
			require.NoError(t, err)
			before := len(s.wire.Written())
			require.NoError(t, do(s))
			_ = s.tls.Close()
			if len(s.wire.Written()) != before {
				t.Error("something has got out")
			}
			require.NoError(t, tlswatch.Err())
		})
	}
}

// TestAuditSwitchesOff has the tracker know a wrong number: nothing moves any more.
func TestAuditSwitchesOff(t *testing.T) {
	for _, by := range []int{-1, 1} {
		s, other := serve(t, tlspeer.ServerConfig(t)), serve(t, tlspeer.ServerConfig(t))
		ask(t, s.raw, s.tls, "hello")
		idle(t, s.tls)
		idle(t, other.tls)
		s.watched.Miscount(by)
		_, err := s.watched.Freeze()
		require.NoError(t, err)
		if err := s.watched.Audit(s.tls); !errors.Is(err, tlswatch.ErrAudit) {
			t.Errorf("by %d: %v", by, err)
		}
		if _, err := other.watched.Freeze(); !errors.Is(err, tlsrec.Off) {
			t.Errorf("another connection: %v", err)
		}
		if err := tlswatch.Err(); !errors.Is(err, tlswatch.ErrAudit) {
			t.Errorf("Err = %v", err)
		}
		config := tlspeer.ServerConfig(t)
		if tlswatch.Config(config) != config {
			t.Error("new connections are still tracked")
		}
		tlswatch.SwitchOn()
		_, err = other.watched.Freeze()
		require.NoError(t, err)
	}
	if err := tlswatch.New(nil).Audit(nil); err == nil {
		t.Error("the audit of a connection that is not frozen")
	}
}

// TestProofFindsMiscount has the tracker know a wrong number, and a record to compare with.
func TestProofFindsMiscount(t *testing.T) {
	s := serve(t, tlspeer.ServerConfig(t))
	ask(t, s.raw, s.tls, "hello")
	s.watched.Miscount(1)
	ask(t, s.raw, s.tls, "hello again")
	idle(t, s.tls)
	if _, err := s.watched.Freeze(); !errors.Is(err, tlsrec.Lost) {
		t.Errorf("%v, want Lost", err)
	}
	ask(t, s.raw, s.tls, "served all the same")
	require.NoError(t, tlswatch.Err())
}

// TestSilentConnectionKeepsProof has a connection wait for long: its records are gone, and it can move all the same.
func TestSilentConnectionKeepsProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clientEnd, serverEnd := tlspeer.Pipe()
		watched := tlswatch.New(serverEnd)
		client, server, _ := tlspeer.Pair(t, clientEnd, watched, tlswatch.Config(tlspeer.ServerConfig(t)))
		for range 3 {
			talk(t, client, server)
			_, err := client.Write(make([]byte, 3000))
			require.NoError(t, err)
			_, err = io.ReadFull(server, make([]byte, 3000))
			require.NoError(t, err)
			if watched.Kept() < 1000 {
				t.Errorf("%d bytes kept", watched.Kept())
			}
			time.Sleep(2*tlswatch.Silence + time.Second)
			synctest.Wait()
			if watched.Kept() != 0 {
				t.Errorf("%d bytes kept after a silence", watched.Kept())
			}
			agree(t, watched, server)
		}
		idle(t, server)
		s, err := watched.Freeze()
		require.NoError(t, err)
		there := moveOn(t, s, serverEnd)
		require.NoError(t, watched.Audit(server))
		talk(t, client, there)
		time.Sleep(5 * tlswatch.Silence) // no timer is left in the bubble
	})
}
