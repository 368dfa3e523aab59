package postgres

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// cursor is the position of a stream: the document that stands in the commits of its table.
type cursor struct {
	V        int        `json:"v"`
	Mode     string     `json:"mode"`
	Origin   *origin    `json:"origin,omitempty"` // cdc
	LSN      lsn        `json:"lsn,omitempty"`    // cdc: changes that were committed from here on are not read yet
	Era      string     `json:"era,omitempty"`    // cdc: since a full refresh, how each _seq begins
	Snapshot *snapshot  `json:"snapshot,omitempty"`
	Mark     *watermark `json:"watermark,omitempty"`
}

const cursorVersion = 1

// origin tells databases and tables apart that share a name: after a restore, a promotion, or a table that was dropped and made anew.
type origin struct {
	System      string `json:"system"` // identifier of the cluster
	Timeline    int32  `json:"timeline"`
	Database    uint32 `json:"database"` // oid
	Table       uint32 `json:"table"`
	Publication uint32 `json:"publication"`
}

// snapshot is how far the rows have been read that the table had when the stream began.
type snapshot struct {
	Done     bool      `json:"done"`
	Load     int64     `json:"load,omitempty"` // full: which load this is
	Rows     int64     `json:"rows"`           // that were read
	Bytes    int64     `json:"bytes"`
	Key      []string  `json:"key,omitempty"`      // by which the table is read in pieces
	Next     []string  `json:"next,omitempty"`     // the first key that was not read
	Block    uint32    `json:"block,omitempty"`    // the first block that was not read, of a table without a key
	FileNode int64     `json:"filenode,omitempty"` // where blocks count; another one: the table was rewritten
	Reached  []reached `json:"reached,omitempty"`  // cdc: when each part was read
}

// reached says that the rows with keys below To, from where the one before ends, were read as of LSN. The last one of a finished snapshot has
// no To.
type reached struct {
	To  []string `json:"to,omitempty"`
	LSN lsn      `json:"lsn"`
}

// watermark is how far a table has been read by its cursor column.
type watermark struct {
	Column string `json:"column"`
	Last   string `json:"last"`  // the greatest value that was read
	From   string `json:"from"`  // where the window begins in which rows may still come: Last less the lag
	Rows   int64  `json:"rows"`  // that lay in the window when it was read
	Hash   string `json:"hash"`  // of those rows
	Total  int64  `json:"total"` // rows that were read
}

// lsn is a place in the write-ahead log. As text it is written as the server does: 16/B374D848.
type lsn uint64

// String is the server's notation.
func (l lsn) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// MarshalText writes the server's notation.
func (l lsn) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads the server's notation.
func (l *lsn) UnmarshalText(b []byte) (err error) {
	*l, err = parseLSN(string(b))
	return err
}

func parseLSN(s string) (lsn, error) {
	high, low, ok := strings.Cut(s, "/")
	h, err1 := strconv.ParseUint(high, 16, 32)
	l, err2 := strconv.ParseUint(low, 16, 32)
	if !ok || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("%q is no place in a write-ahead log", s)
	}
	return lsn(h<<32 | l), nil
}

// readCursor reads a position; nil is the beginning.
func (st stream) readCursor(p connector.Position) (*cursor, error) {
	if p.Cursor == nil {
		return nil, nil
	}
	var c cursor
	err := json.Unmarshal(p.Cursor, &c)
	switch {
	case err != nil:
		return nil, fault.New(fault.Internal, "read the position of", st.name, "%w", err)
	case c.V > cursorVersion:
		return nil, fault.New(fault.InvalidInput, "read the position of", st.name, "it was written by a newer lakestep").WithHint("use that one, or a newer one")
	case c.Mode != st.mode:
		return nil, fault.New(fault.InvalidInput, "read the position of", st.name, "it is of mode %s, the stream is of mode %s", c.Mode, st.mode).
			WithHint("give the stream its mode back, or load it into another table (%s)", st.at)
	case st.mode != modeWatermark && c.Snapshot == nil:
		return nil, fault.New(fault.Internal, "read the position of", st.name, "it does not tell how far the first rows were read")
	}
	return &c, nil
}

func (c *cursor) document() (json.RawMessage, error) {
	c.V = cursorVersion
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fault.New(fault.Internal, "write the position", "", "%w", err)
	}
	return b, nil
}

// clone is a copy whose parts can be changed.
func (c *cursor) clone() *cursor {
	out := *c
	if c.Snapshot != nil {
		s := *c.Snapshot
		s.Reached = append([]reached(nil), s.Reached...)
		out.Snapshot = &s
	}
	if c.Origin != nil {
		o := *c.Origin
		out.Origin = &o
	}
	return &out
}

// sequence is the place of a change in the order of all changes: that of its transaction's commit, and its own among the transaction's. Texts
// of it sort as the changes did. Rows of a snapshot that was taken at a place have number 0: they are older than what was committed there.
func sequence(era string, commit lsn, number int64) string {
	b := make([]byte, 0, 48)
	b = appendHex(append(b, era...), uint64(commit), 16)
	return string(appendHex(append(b, '-'), uint64(number), 10))
}

func appendHex(b []byte, n uint64, digits int) []byte {
	for i := digits - 1; i >= 0; i-- {
		b = append(b, "0123456789ABCDEF"[n>>(4*i)&15])
	}
	return b
}

// newEra makes the beginning of each _seq from a full refresh on, in microseconds since 1970. The places of the log may begin anew, on another
// server; R sorts behind all digits, so what comes now is newer than what was there.
func newEra(micros int64) string { return fmt.Sprintf("R%015X-", micros) }
