package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
)

// version is that of the states that this program writes: "2", or "1" by -ldflags
// "-X main.version=1" as long as one may have to go back to a program that knows no
// other.
var version = "2"

// state is what goes with a user from one generation to the next, in version 2.
//
// A version adds fields and changes none. So a newer one is read like this one: its
// further fields are ignored, and a field that does not fit counts as missing. Its
// user keeps nick, room and counters when one goes back to this program, and loses
// only what this program does not know.
type state struct {
	ID    string            `json:"id"` // of the user, in all generations
	Nick  string            `json:"nick"`
	Room  string            `json:"room,omitempty"` // "" if in none
	Said  int               `json:"said"`           // lines to the room
	Heard int               `json:"heard"`          // lines of others
	Moved int               `json:"moved"`          // upgrades
	Rest  []byte            `json:"rest,omitempty"` // has been read, and is no whole line yet
	Out   []byte            `json:"out,omitempty"`  // was promised, and is not written yet
	With  map[string]string `json:"with,omitempty"` // the room's members: nicks by ID
}

// stateV1 is version 1. It knew nobody else in the room.
type stateV1 struct {
	V     int    `json:"v"`
	Name  string `json:"name"`
	Room  string `json:"room"`
	Lines int    `json:"lines"` // now Said
	Rest  []byte `json:"rest"`
	Out   []byte `json:"out"`
}

// stateV2 is state with its version before it.
type stateV2 struct {
	V int `json:"v"`
	state
}

// encode returns s in a version: "1", or else the current one.
func (s state) encode(version string) []byte {
	var v any = stateV2{2, s}
	if version == "1" {
		v = stateV1{1, s.Nick, s.Room, s.Said, s.Rest, s.Out}
	}
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and bytes can all be encoded
	}
	return data
}

// decode reads a state of any version. After an error nothing of it is known.
func decode(data []byte) (state, error) {
	var head struct{ V int }
	if err := fitting(json.Unmarshal(data, &head)); err != nil {
		return state{}, fmt.Errorf("state: %w", err)
	}
	if head.V < 1 {
		return state{}, fmt.Errorf("state: version %d", head.V)
	}
	if head.V == 1 {
		var s stateV1
		err := fitting(json.Unmarshal(data, &s))
		return state{Nick: s.Name, Room: s.Room, Said: s.Lines, Rest: s.Rest, Out: s.Out}.checked(), err
	}
	var s stateV2
	err := fitting(json.Unmarshal(data, &s))
	return s.checked(), err
}

// fitting forgives that a field is of another type: Unmarshal has read the others.
func fitting(err error) error {
	if misfit := (*json.UnmarshalTypeError)(nil); errors.As(err, &misfit) {
		return nil
	}
	return err
}

// checked has no name that this program would not let a user choose.
func (s state) checked() state {
	if !isName(s.Nick) {
		s.Nick = ""
	}
	if !isName(s.Room) {
		s.Room = ""
	}
	for id, nick := range s.With {
		if !isName(nick) {
			delete(s.With, id)
		}
	}
	return s
}

// restore is decode for a connection that was handed over: a state that cannot be
// read makes its user a new one, who is at least still connected.
func restore(data []byte) state {
	s, err := decode(data)
	if err != nil {
		log.Printf("a user has lost nick and room: %v", err)
		s.Out = append(s.Out, "* your nick and room were lost in an upgrade\n"...)
	}
	return s
}
