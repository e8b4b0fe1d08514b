//go:build unix

package upgrade

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/fdpass"
)

// bootstrap message is a message as the successor reads it.
type bootstrapMessage struct {
	manifest Manifest
	files    map[string]*os.File
	sockets  held
}

// socketPrefix is what the name of a listening socket begins with, before its ID.
const socketPrefix = "socket "

// header is what is on the wire: the manifest, and the names of the files in
// the order of their descriptors. Where these are too many for one datagram, More others follow without a manifest.
type header struct {
	Manifest json.RawMessage `json:"manifest,omitempty"`
	Files    []string        `json:"files"`
	More     int             `json:"more,omitempty"`
}

// passedFD is a descriptor that goes with a message.
type passedFD struct {
	name string
	fd   int
}

func names(part []passedFD) []string {
	var all []string
	for _, e := range part {
		all = append(all, e.name)
	}
	return all
}

// encodeMessage refuses what the system would take and the reader would cut.
func encodeMessage(manifest Manifest, names []string, more int) ([]byte, error) {
	head, err := json.Marshal(manifest)
	if err != nil {
		return nil, fmt.Errorf("upgrade: encode manifest: %w", err)
	}
	data, err := json.Marshal(header{Manifest: head, Files: names, More: more})
	if err != nil {
		return nil, fmt.Errorf("upgrade: encode manifest: %w", err)
	}
	if len(data) > maxMessage {
		return nil, fmt.Errorf("upgrade: the manifest has %d bytes, the bootstrap channel holds %d", len(data), maxMessage)
	}
	return data, nil
}

// decodeMessage opens the first datagram of a message, and returns how many more there are.
func decodeMessage(data []byte, fds []int) (l *bootstrapMessage, more int, err error) {
	env, err := decodeHeader(data, fds)
	if err != nil {
		return nil, 0, err
	}
	manifest, err := decodeManifest(env.Manifest)
	if err != nil {
		return nil, 0, err
	}
	l = &bootstrapMessage{manifest: manifest, files: make(map[string]*os.File)}
	l.take(env.Files, fds)
	return l, env.More, nil
}

// decodeHeader opens a datagram.
func decodeHeader(data []byte, fds []int) (env header, err error) {
	if err := json.Unmarshal(data, &env); err != nil {
		return env, fmt.Errorf("upgrade: manifest from the previous generation: %w", err)
	}
	if len(env.Files) != len(fds) {
		return env, fmt.Errorf("upgrade: the previous generation names %d files and sent %d", len(env.Files), len(fds))
	}
	return env, nil
}

// onlyReport takes the report out of the first datagram of a message, and closes all other descriptors. It is nil if there is none.
func onlyReport(data []byte, fds []int) *bootstrapMessage {
	env, err := decodeHeader(data, fds)
	if err != nil {
		fdpass.Close(fds)
		return nil
	}
	all := &bootstrapMessage{files: make(map[string]*os.File)}
	all.take(env.Files, fds)
	report := all.files[fileReport]
	delete(all.files, fileReport)
	all.close()
	if report == nil {
		return nil
	}
	return &bootstrapMessage{files: map[string]*os.File{fileReport: report}}
}

// take takes over descriptors under their names. Of two with the same name the later one counts.
func (l *bootstrapMessage) take(names []string, fds []int) {
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

func (l *bootstrapMessage) close() {
	for _, f := range l.files {
		_ = f.Close()
	}
	l.sockets.close()
}
