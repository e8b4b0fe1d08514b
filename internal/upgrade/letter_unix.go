//go:build unix

package upgrade

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// letter is a message as the successor reads it.
type letter struct {
	manifest Manifest
	files    map[string]*os.File
	sockets  held
}

// socketPrefix is what the name of a listening socket begins with, before its ID.
const socketPrefix = "socket "

// envelope is what is on the wire: the manifest, and the names of the files in
// the order of their descriptors. Where these are too many for one datagram, More others follow without a manifest.
type envelope struct {
	Manifest json.RawMessage `json:"manifest,omitempty"`
	Files    []string        `json:"files"`
	More     int             `json:"more,omitempty"`
}

// enclosure is a descriptor that goes with a message.
type enclosure struct {
	name string
	fd   int
}

func names(part []enclosure) []string {
	var all []string
	for _, e := range part {
		all = append(all, e.name)
	}
	return all
}

// encodeLetter refuses what the system would take and the reader would cut.
func encodeLetter(manifest Manifest, names []string, more int) ([]byte, error) {
	head, err := json.Marshal(manifest)
	if err != nil {
		return nil, fmt.Errorf("upgrade: encode manifest: %w", err)
	}
	data, err := json.Marshal(envelope{Manifest: head, Files: names, More: more})
	if err != nil {
		return nil, fmt.Errorf("upgrade: encode manifest: %w", err)
	}
	if len(data) > mailboxSize {
		return nil, fmt.Errorf("upgrade: the manifest has %d bytes, the mailbox holds %d", len(data), mailboxSize)
	}
	return data, nil
}

// openLetter opens the first datagram of a message, and returns how many more there are.
func openLetter(data []byte, fds []int) (l *letter, more int, err error) {
	env, err := openEnvelope(data, fds)
	if err != nil {
		return nil, 0, err
	}
	manifest, err := decodeManifest(env.Manifest)
	if err != nil {
		return nil, 0, err
	}
	l = &letter{manifest: manifest, files: make(map[string]*os.File)}
	l.take(env.Files, fds)
	return l, env.More, nil
}

// openEnvelope opens a datagram.
func openEnvelope(data []byte, fds []int) (env envelope, err error) {
	if err := json.Unmarshal(data, &env); err != nil {
		return env, fmt.Errorf("upgrade: manifest from the previous generation: %w", err)
	}
	if len(env.Files) != len(fds) {
		return env, fmt.Errorf("upgrade: the previous generation names %d files and sent %d", len(env.Files), len(fds))
	}
	return env, nil
}

// take takes over descriptors under their names. Of two with the same name the later one counts.
func (l *letter) take(names []string, fds []int) {
	for i, name := range names {
		if id, ok := strings.CutPrefix(name, socketPrefix); ok {
			if old, ok := l.sockets.fds[id]; ok {
				closeDescriptor(old)
			}
			l.sockets.add(id, fds[i])
			continue
		}
		if old := l.files[name]; old != nil {
			_ = old.Close()
		}
		l.files[name] = os.NewFile(uintptr(fds[i]), name)
	}
}

func (l *letter) close() {
	for _, f := range l.files {
		_ = f.Close()
	}
	l.sockets.close(func(string) bool { return false })
}
