package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"

	gozd "bitbucket.org/PinIdea/go-zero-downtime-daemon"
	"bitbucket.org/PinIdea/go-zero-downtime-daemon/tcpx"
)

// stateVersion grows when what a field means changes. A newer program reads the
// states of all versions; fields that it does not know it ignores.
const stateVersion = 1

// counted is the state of a connection of the state group.
type counted struct {
	Version int    `json:"v"`
	Lines   int    `json:"n"`              // that have been answered
	Rest    []byte `json:"rest,omitempty"` // what has been read of the next one
}

// countLines is the handler of the state group: it sends each line back behind the
// process's PID and the line's number, which goes on from generation to generation
// with the connection.
func countLines(conn gozd.Conn) {
	s, err := readCounted(conn.State())
	if err != nil {
		log.Printf("state: %v", err)
		return
	}
	for lines := bufio.NewReader(tcpx.NewReader(conn)); ; {
		text, err := lines.ReadBytes('\n')
		s.Rest = append(s.Rest, text...)
		switch {
		case errors.Is(err, tcpx.ErrDraining):
			if s.handOver(conn) == nil {
				return
			}
		case err != nil:
			return
		default:
			s.Lines++
			if _, err := fmt.Fprintf(conn, "%d %d %s", os.Getpid(), s.Lines, s.Rest); err != nil {
				return
			}
			s.Rest = s.Rest[:0]
		}
	}
}

// readCounted reads the state of a connection, which is nil if it is new.
func readCounted(data []byte) (*counted, error) {
	s := new(counted)
	if data == nil {
		return s, nil
	}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, err
	}
	if s.Version < 1 {
		return nil, fmt.Errorf("version %d", s.Version)
	}
	return s, nil
}

func (s *counted) handOver(conn gozd.Conn) error {
	s.Version = stateVersion
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return conn.Handover(data)
}
