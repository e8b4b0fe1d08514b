package totals

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"sync"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/internal/exposition"
)

// What a process that ends may leave, and all that may be left, in bytes. A generation leaves some thousands.
const (
	maxRecord = 1 << 20
	maxLedger = 64 << 20
	maxCounts = 16 << 20 // of a record, once it is read
)

// headSize is that of a record's head: its process, and its length.
const headSize = 4 + 8 + 4

// Process is whose counts they are. A number of a generation can be another's, too: that of one that was rolled back is given again.
type Process struct {
	PID       int
	StartTime uint64
}

// Ledger has what generations that have ended have counted for their program. Each leaves one record when it ends. It is safe for concurrent
// use, by several processes too.
type Ledger struct {
	file *os.File // nil where there is no such memory; each write is at its end, and whole

	mu    sync.Mutex // guards what follows
	read  int64      // how much of the file
	ended map[Process]bool
	sum   string
}

// OpenLedger takes over the memory of the generation before this one, or makes new one if f is nil. Without any, what a generation
// has counted ends with it.
func OpenLedger(f *os.File) *Ledger {
	l := &Ledger{file: f, ended: make(map[Process]bool)}
	if f == nil {
		l.file, _ = newLedgerFile() // there is none
	}
	return l
}

// File is to be passed to the next generation; nil where there is none. It stays the Ledger's.
func (l *Ledger) File() *os.File { return l.file }

// Leave adds what a process has counted that has ended or is about to, in the text format of Prometheus. Who leaves something for a process that has
// left it already adds nothing.
func (l *Ledger) Leave(p Process, text string) error {
	if l.file == nil {
		return nil
	}
	if info, err := l.file.Stat(); err != nil || info.Size() >= maxLedger {
		return errors.Join(err, errors.New("there is no room any more for what processes that end have counted"))
	}
	record := bytes.NewBuffer(make([]byte, headSize))
	zip := gzip.NewWriter(record)
	_, err := io.WriteString(zip, exposition.Counts(text))
	if err == nil {
		err = zip.Close()
	}
	if err != nil {
		return err
	}
	b := record.Bytes()
	if len(b) > maxRecord {
		return fmt.Errorf("the program's counts have %d bytes, and at most %d are kept", len(b), maxRecord)
	}
	binary.BigEndian.PutUint32(b, uint32(p.PID)) //nolint:gosec // the kernel's are of 22 bits
	binary.BigEndian.PutUint64(b[4:], p.StartTime)
	binary.BigEndian.PutUint32(b[12:], uint32(len(b)-headSize)) //nolint:gosec // at most maxRecord
	_, err = l.file.Write(b)
	return err
}

// Ended returns which processes have left their counts, and the sum of these.
func (l *Ledger) Ended() (ended map[Process]bool, sum string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.file != nil && l.read < maxLedger {
		var head [headSize]byte
		if n, _ := l.file.ReadAt(head[:], l.read); n < headSize {
			break
		}
		size := int64(binary.BigEndian.Uint32(head[12:]))
		if size > maxRecord {
			break // nonsense, and all that follows
		}
		record := make([]byte, size)
		if n, _ := l.file.ReadAt(record, l.read+headSize); int64(n) < size {
			break // it is being written
		}
		l.read += headSize + size
		l.add(Process{int(binary.BigEndian.Uint32(head[:])), binary.BigEndian.Uint64(head[4:])}, record)
	}
	return maps.Clone(l.ended), l.sum
}

func (l *Ledger) add(p Process, record []byte) {
	if l.ended[p] {
		return
	}
	zip, err := gzip.NewReader(bytes.NewReader(record))
	if err != nil {
		return
	}
	text, err := io.ReadAll(io.LimitReader(zip, maxCounts))
	if err != nil {
		return
	}
	l.ended[p] = true
	l.sum = exposition.Sum(l.sum, string(text))
}
