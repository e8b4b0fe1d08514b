package main

import (
	"fmt"
	"sync"
	"time"
)

const (
	// maxRoom is how many a room takes: each of them takes their nicks along.
	maxRoom = 256

	// hushTime is how long users may take until no line of theirs is answered any more. One over a WebSocket who is in the middle of a message
	// takes as long as that; others an instant.
	hushTime = time.Second

	// transit is how long users may be on their way from one generation to the
	// next. They take milliseconds, or seconds if they do not read.
	transit = 10 * time.Second
)

// hall has the rooms of this generation.
type hall struct {
	generation int
	began      time.Time

	mu      sync.Mutex // guards what follows, and the members
	quiet   sync.Cond  // nobody talks
	talking int        // users whose lines are answered here, until hush
	lastID  int
	rooms   map[string]*room
	arrived map[string]bool // IDs that have come from the previous generation
}

type room struct {
	members map[string]*member // by ID
	early   []string           // what was said within transit of this generation's beginning, as far as it fits into an outbox
	length  int                // of early, in bytes
}

// member is a user as the others know him.
type member struct {
	id, nick, room     string
	said, heard, moved int
	out                *outbox
	talks              bool
	awaited            *time.Timer // while he is on his way to this generation
}

func newHall(generation int) *hall {
	h := &hall{generation: generation, began: time.Now(), rooms: make(map[string]*room), arrived: make(map[string]bool)}
	h.quiet.L = &h.mu
	return h
}

// enter makes a member of someone who has just connected.
func (h *hall) enter() *member {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.talking++
	id := h.newIDLocked()
	return &member{id: id, nick: "guest" + id, out: newOutbox(), talks: true}
}

// newIDLocked returns one that no generation has used.
func (h *hall) newIDLocked() string {
	h.lastID++
	return fmt.Sprintf("%d.%d", h.generation, h.lastID)
}

// arrive makes a member of someone who comes from the previous generation. He gets
// what was said in his room before, since he was in it all the time.
func (h *hall) arrive(s state) *member {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.talking++
	if s.ID == "" || h.arrived[s.ID] {
		s.ID = h.newIDLocked() // version 1 has none
	}
	if s.Nick == "" {
		s.Nick = "guest" + s.ID
	}
	h.arrived[s.ID] = true
	m := &member{id: s.ID, nick: s.Nick, out: newOutbox()}
	if s.Room != "" {
		m = h.expectLocked(s.Room, s.ID, s.Nick)
		m.isHereLocked()
	}
	m.talks, m.said, m.heard, m.moved = true, s.Said, m.heard+s.Heard, s.Moved+1
	m.out.addFirst(s.Out)
	for id, nick := range s.With {
		if s.Room != "" && !h.arrived[id] {
			h.expectLocked(s.Room, id, nick)
		}
	}
	return m
}

// isHereLocked ends the wait for m.
func (m *member) isHereLocked() {
	if m.awaited != nil {
		m.awaited.Stop()
		m.awaited = nil
	}
}

// expectLocked makes a member of someone who is on his way, unless he is one
// already: what is said is kept for him until he is here.
func (h *hall) expectLocked(name, id, nick string) *member {
	r := h.roomLocked(name)
	if m := r.members[id]; m != nil {
		return m
	}
	m := &member{id: id, nick: nick, room: name, out: newOutbox()}
	for _, line := range r.early {
		m.heard++
		m.out.add(line)
	}
	m.awaited = time.AfterFunc(transit, func() { h.giveUp(m) })
	r.members[id] = m
	return m
}

// giveUp is called when m should be here for long.
func (h *hall) giveUp(m *member) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.awaited != nil {
		h.leaveRoomLocked(m)
	}
}

func (h *hall) roomLocked(name string) *room {
	r := h.rooms[name]
	if r == nil {
		r = &room{members: make(map[string]*member)}
		h.rooms[name] = r
	}
	return r
}

// say says a line to m's room, and reports whether he is in one. He hears it too.
func (h *hall) say(m *member, text string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[m.room]
	if r == nil {
		return false
	}
	m.said++
	line := m.nick + ": " + text + "\n"
	for _, other := range r.members {
		if other != m {
			other.heard++
		}
		other.out.add(line)
	}
	r.keepEarly(line, time.Since(h.began) < transit)
	return true
}

// keepEarly keeps a line for those who are on their way, if anybody still may be. What does not fit into an outbox nobody would hear.
func (r *room) keepEarly(line string, early bool) {
	switch {
	case !early:
		r.early, r.length = nil, 0
	case r.length+len(line) <= maxOut:
		r.early, r.length = append(r.early, line), r.length+len(line)
	}
}

// tellLocked has all of m's room know something of him.
func (h *hall) tellLocked(m *member, what string) {
	if r := h.rooms[m.room]; r != nil {
		for _, other := range r.members {
			other.out.add("* " + m.nick + " " + what + "\n")
		}
	}
}

// join takes m from his room to another, and reports whether that has a place.
func (h *hall) join(m *member, name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if name != m.room {
		if r := h.rooms[name]; r != nil && len(r.members) >= maxRoom {
			return false
		}
		h.leaveRoomLocked(m)
	}
	m.room = name
	h.roomLocked(name).members[m.id] = m
	h.tellLocked(m, "is in "+name)
	return true
}

func (h *hall) rename(m *member, nick string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := m.nick
	m.nick = nick
	if m.room == "" {
		m.out.add("* you are " + nick + "\n")
	}
	h.tellLocked(m, "was "+before)
}

func (h *hall) leaveRoomLocked(m *member) {
	r := h.rooms[m.room]
	if r == nil {
		return
	}
	delete(r.members, m.id)
	h.tellLocked(m, "has left")
	if len(r.members) == 0 {
		delete(h.rooms, m.room)
	}
	m.room = ""
}

// leave is the end of a member.
func (h *hall) leave(m *member) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leaveRoomLocked(m)
	h.hushLocked(m)
}

// hush says that m's lines are no longer answered here, and waits until that holds
// for all, or for hushTime. No line is answered for longer than it takes to put it into outboxes.
func (h *hall) hush(m *member) {
	late := false
	defer time.AfterFunc(hushTime, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		late = true
		h.quiet.Broadcast()
	}).Stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hushLocked(m)
	for h.talking > 0 && !late {
		h.quiet.Wait()
	}
}

func (h *hall) hushLocked(m *member) {
	if !m.talks {
		return
	}
	m.talks = false
	if h.talking--; h.talking == 0 {
		h.quiet.Broadcast()
	}
}

// state returns what m takes along. Those who have left before him are still in the
// room: they are in the next generation, or on their way.
func (h *hall) state(m *member) state {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stateLocked(m)
}

func (h *hall) stateLocked(m *member) state {
	s := state{ID: m.id, Nick: m.nick, Room: m.room, Said: m.said, Heard: m.heard, Moved: m.moved}
	if r := h.rooms[m.room]; r != nil {
		s.With = make(map[string]string, len(r.members))
		for id, other := range r.members {
			s.With[id] = other.nick
		}
	}
	return s
}

// describe promises m a line about his state, in which everything is counted that
// he gets before it, and nothing else.
func (h *hall) describe(m *member, line func(state) string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m.out.add(line(h.stateLocked(m)))
}
