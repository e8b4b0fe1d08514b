package h2move

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// State is all that a new server has to know of a connection without open streams.
type State struct {
	Last       uint32              // the client's highest stream; 0 if there was none
	SendWindow int64               // what the server may send on the connection, in bytes
	RecvWindow int64               // what the client believes that it may
	Ours       Settings            // the server's, which the client has acknowledged
	Theirs     Settings            // the client's
	Table      []hpack.HeaderField // the client's HPACK table, the newest first
	Pending    []byte              // of the client, and not seen by a server yet
}

// Never says why a connection can never move again; "" if it can.
func Never(in *In, out *Out) string {
	if in.never != "" {
		return in.never
	}
	return out.never
}

// IsSettled reports whether both sides have said their settings, the client has acknowledged the server's, and no frame is begun.
// A server that has answered a PING after that has acknowledged the client's, too.
func IsSettled(in *In, out *Out) bool {
	return in.said && out.sent > 0 && in.acks == out.sent && in.between() && out.between()
}

// NewState returns the state of a connection that is settled, and on which the server has no stream open. pending is what of the
// client it has not got. After an error, the connection cannot move.
func NewState(in *In, out *Out, pending []byte) (*State, error) {
	if why := Never(in, out); why != "" {
		return nil, errors.New(why)
	}
	s := &State{
		Last:       in.last,
		SendWindow: initialWindow + in.credit - out.data,
		RecvWindow: initialWindow + out.credit - in.data,
		Ours:       out.settings,
		Theirs:     in.settings,
		Table:      entries(in.table),
		Pending:    pending,
	}
	return s, s.check()
}

// entries reads out the table of d: from index 62 on (RFC 7541, section 2.3.3), until there is none.
func entries(d *hpack.Decoder) (table []hpack.HeaderField) {
	d.SetEmitFunc(func(f hpack.HeaderField) { table = append(table, f) })
	d.SetEmitEnabled(true)
	for i := uint64(62); ; i++ {
		if _, err := d.Write(appendInt(nil, 0x80, 7, i)); err != nil {
			break
		}
	}
	_ = d.Close() // or the error would remain
	d.SetEmitEnabled(false)
	d.SetEmitFunc(func(hpack.HeaderField) {})
	return table
}

// Resume has both follow a connection that comes with s, from its pending bytes on.
func (s *State) Resume(in *In, out *Out) {
	in.settings, in.said, in.last, in.credit, in.count = s.Theirs, true, s.Last, s.SendWindow-initialWindow, 1
	in.Track(s.Ours.Get(http2.SettingHeaderTableSize))
	for _, block := range tableBlocks(s.Table) {
		if _, err := in.table.Write(block); err != nil {
			in.never = "its headers cannot be followed"
		}
		_ = in.table.Close()
	}
	out.settings, out.credit, out.count = s.Ours, s.RecvWindow-initialWindow, 1
	in.acks, out.sent = 1, 1
}

// version is the first byte of a state. Another one means another form.
const version = 1

// Append appends s in binary form.
func (s *State) Append(b []byte) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(s.Last))
	b = binary.AppendUvarint(b, uint64(s.SendWindow))
	b = binary.AppendUvarint(b, uint64(s.RecvWindow))
	b = appendSettings(b, s.Ours)
	b = appendSettings(b, s.Theirs)
	b = binary.AppendUvarint(b, uint64(len(s.Table)))
	for _, f := range s.Table {
		b = appendBytes(b, f.Name)
		b = appendBytes(b, f.Value)
	}
	return append(b, s.Pending...)
}

func appendSettings(b []byte, all Settings) []byte {
	b = append(b, byte(len(all))) // there are eight at most
	for _, s := range all {
		b = binary.BigEndian.AppendUint16(b, uint16(s.ID))
		b = binary.BigEndian.AppendUint32(b, s.Val)
	}
	return b
}

func appendBytes(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Parse undoes Append. What it returns a server can be brought into, whoever has made b.
func Parse(b []byte) (*State, error) {
	if len(b) == 0 || b[0] != version {
		return nil, errors.New("h2move: a state of HTTP/2 of another version")
	}
	p := parser{rest: b[1:]}
	s := &State{
		Last:       uint32(p.number(math.MaxInt32)),
		SendWindow: int64(p.number(math.MaxInt32)),
		RecvWindow: int64(p.number(math.MaxInt32)),
		Ours:       p.settings(),
		Theirs:     p.settings(),
		Table:      p.table(),
	}
	if len(p.rest) > 0 {
		s.Pending = p.rest
	}
	if p.failed {
		return nil, errImpossible
	}
	return s, s.check()
}

// errImpossible is for a state that no server can be in.
var errImpossible = errors.New("h2move: a state of HTTP/2 is cut short, or impossible")

// check returns an error where Restore could not bring a server into s.
func (s *State) check() error {
	windows := min(s.SendWindow, s.RecvWindow) >= 0 && max(s.SendWindow, s.RecvWindow) <= math.MaxInt32
	stream := s.Last%2 == 1 || s.Last == 0 && s.SendWindow >= initialWindow // else something was sent on no stream
	valid := !slices.ContainsFunc(s.Theirs, func(set http2.Setting) bool { return set.Valid() != nil })
	if !windows || !stream || !valid || !s.fitsTable() {
		return errImpossible
	}
	return nil
}

// fitsTable bounds the table by what the server has allowed, and each entry by what one block can bring.
func (s *State) fitsTable() bool {
	size := uint64(0)
	for _, f := range s.Table {
		size += uint64(f.Size())
		if int(f.Size()) > s.maxBlock() {
			return false
		}
	}
	return size <= uint64(s.Ours.Get(http2.SettingHeaderTableSize))
}

// maxBlock is how long a header block of one entry may be, so that the server reads it whole: it fits into a frame of any server, and
// into its SETTINGS_MAX_HEADER_LIST_SIZE. An entry counts as 32 bytes more than it is, which the other fields of a block take.
func (s *State) maxBlock() int {
	return int(min(blockLimit, s.Ours.Get(http2.SettingMaxHeaderListSize)))
}

type parser struct {
	rest   []byte
	failed bool
}

func (p *parser) number(most uint64) uint64 {
	v, n := binary.Uvarint(p.rest)
	if n <= 0 || v > most {
		p.failed, p.rest = true, nil
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

func (p *parser) bytes(n uint64) []byte {
	if n > uint64(len(p.rest)) {
		p.failed, p.rest = true, nil
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

func (p *parser) settings() (all Settings) {
	count := p.bytes(1)
	if count == nil {
		return nil
	}
	all.take(p.bytes(6 * uint64(count[0])))
	return all
}

func (p *parser) table() (table []hpack.HeaderField) {
	for range p.number(uint64(len(p.rest))) { // each has two bytes at least
		name := p.bytes(p.number(maxString))
		value := p.bytes(p.number(maxString))
		if p.failed {
			return nil
		}
		table = append(table, hpack.HeaderField{Name: string(name), Value: string(value)})
	}
	return table
}
