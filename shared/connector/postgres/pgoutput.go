package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// The messages of pgoutput, https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html, in the text format, which is what
// COPY gives as well.
const (
	msgBegin        = 'B'
	msgCommit       = 'C'
	msgRelation     = 'R'
	msgInsert       = 'I'
	msgUpdate       = 'U'
	msgDelete       = 'D'
	msgTruncate     = 'T'
	msgType         = 'Y'
	msgOrigin       = 'O'
	msgLogical      = 'M'
	msgStreamStart  = 'S'
	msgStreamStop   = 'E'
	msgStreamCommit = 'c'
	msgStreamAbort  = 'A'
)

var errShort = errors.New("a message of pgoutput ends too soon")

// reader takes a message apart. After the end it gives zeros, and keeps the error.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.err = errShort
		r.b = nil
		return make([]byte, min(max(n, 0), 8))
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte     { return r.take(1)[0] }
func (r *reader) uint16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) lsn() lsn       { return lsn(binary.BigEndian.Uint64(r.take(8))) }

// time is in microseconds since 2000.
func (r *reader) time() arrow.Timestamp {
	const epoch = 946_684_800 * int64(time.Second/time.Microsecond)
	return arrow.Timestamp(int64(binary.BigEndian.Uint64(r.take(8))) + epoch)
}

func (r *reader) string() string {
	i := bytes.IndexByte(r.b, 0)
	if i < 0 {
		r.take(-1)
		return ""
	}
	return string(r.take(i + 1)[:i])
}

// transaction is what a commit says of itself.
type transaction struct {
	era     string
	xid     uint32
	commit  lsn // where its record begins: the order of transactions
	end     lsn // where the next one may begin
	at      arrow.Timestamp
	changes int64 // so far
}

// relation is a table as the changes that follow have it.
type relation struct {
	oid     uint32
	columns []relationColumn
}

type relationColumn struct {
	name    string
	typeOID uint32
	typmod  int32
}

func (r *reader) relation() relation {
	out := relation{oid: r.uint32()}
	r.string() // schema
	r.string() // name
	r.byte()   // replica identity
	n := int(r.uint16())
	for range n {
		if r.err != nil {
			break
		}
		r.byte() // whether it is of the key
		out.columns = append(out.columns, relationColumn{r.string(), r.uint32(), int32(r.uint32())})
	}
	return out
}

// field is a value of a tuple: its text, which holds until the next message, or NULL, or unchanged: a long value that the server did not send.
type field struct {
	text            []byte
	null, unchanged bool
}

// tuple reads the values of a row.
func (r *reader) tuple(out []field) []field {
	n := int(r.uint16())
	out = out[:0]
	for range n {
		var f field
		switch kind := r.byte(); kind {
		case 'n':
			f.null = true
		case 'u':
			f.unchanged = true
		case 't':
			f.text = r.take(int(int32(r.uint32())))
		default:
			if r.err == nil {
				r.err = errors.New("a value of pgoutput in a format that was not asked for")
			}
		}
		if r.err != nil {
			break
		}
		out = append(out, f)
	}
	return out
}
