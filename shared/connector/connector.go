// Package connector is the port to where data comes from. A Source gives what its streams hold beyond a position, a bounded page at a
// time; the position that a page leads to is kept in the commit of the page's rows, so that a page counts once however a run dies.
//
// Typed rows travel as Arrow batches through a spool (internal/spool), which keeps them in local Parquet files: so a page takes little
// memory whatever its size, and the engine reads it as it reads any file. Text that the engine can split itself is read in place.
package connector

import (
	"context"
	"encoding/json"
	"time"
)

// Source reads the streams of one configured source. Its methods may be called concurrently for different streams. Errors are faults:
// Throttled and Unavailable are worth another try, SourceLost means that the position is no longer there, and that nothing was skipped.
type Source interface {
	// Pending tells how much lies beyond a position, without reading it.
	Pending(ctx context.Context, stream string, seen Position) (Backlog, error)
	// Next gives the next page beyond a position. An empty page is the end.
	Next(ctx context.Context, r Request) (Page, error)
	// Close frees what the source holds.
	Close() error
}

// Acknowledger is a Source that wants to know when a position is safe, to let go of what lies before it. The word is a hint: the truth is
// the position in the table.
type Acknowledger interface {
	Acknowledge(ctx context.Context, stream string, committed Position) error
}

// Explorer is what people ask a source before they load it: every Source is one. None of it changes the source or a position.
type Explorer interface {
	// Discover lists what could be loaded, whether configured or not.
	Discover(ctx context.Context) ([]Discovered, error)
	// Check tries what loading needs: the way there, the credentials, each privilege.
	Check(ctx context.Context) []Finding
	// Preview gives some rows of a configured stream, as Next would.
	Preview(ctx context.Context, r Request) (Page, error)
}

// Position is how far a stream has been read. The zero value is the beginning.
type Position struct {
	Items  map[string]Item // the items that were taken, by key, of a source of whole items
	Cursor json.RawMessage // of any other source: its own document, small
}

// Item is a unit that a source gives whole: a file.
type Item struct {
	Key    string `json:"key"`
	Size   int64  `json:"size"`            // bytes
	ETag   string `json:"etag"`            // of the store; a changed one makes the digest count
	SHA256 string `json:"sha256"`          // of the content
	Batch  string `json:"batch,omitempty"` // the {batch} segment of its path

	Refused bool `json:"refused,omitempty"` // it could not be read: no row of it was taken
}

// Backlog is what lies beyond a position. Rows and Bytes are 0 where the source does not know.
type Backlog struct {
	Items int // files, partitions, chunks or changes: 0 is nothing
	Rows  int64
	Bytes int64
}

// Request asks for a page.
type Request struct {
	Stream   string
	Seen     Position
	Refresh  bool   // Seen is the beginning by an operator's word, and the table has rows: the first page of a full refresh
	Dir      string // of the local files that the page needs: the caller's, who removes it
	Limit    Limit
	Window   *Window        // what to read again, whatever the position, which does not move; nil: what is new
	Progress func(Progress) // nil: nobody looks
}

// Limit bounds a page: it ends before what would pass one of them, but holds one item at least. 0 is no bound.
type Limit struct {
	Items int
	Rows  int64
	Bytes int64
	Until time.Time // when reading is to end, so that there is time left to write: for hosts that cut a step off
}

// Reached tells whether a page that holds so much is full.
func (l Limit) Reached(rows, bytes int64) bool {
	return l.Rows > 0 && rows >= l.Rows || l.Bytes > 0 && bytes >= l.Bytes || l.Late()
}

// Late tells whether it is time to end a page.
func (l Limit) Late() bool { return !l.Until.IsZero() && time.Now().After(l.Until) }

// Window is a range of a stream's cursor column, both ends included: texts as the source writes them.
type Window struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Progress is how far a page has come.
type Progress struct {
	Rows     int64
	Bytes    int64
	Position string        // for people: an LSN, offsets, a value of the cursor column
	Left     time.Duration // that the source expects to need; 0: it does not know
}

// Page is a bounded piece of a stream.
type Page struct {
	Items    []Item                      // what the position gains, in the order taken
	Cursor   json.RawMessage             // what the position becomes, of a source without items; nil: it does not move
	Parts    []Part                      // the rows
	Bad      []Bad                       // what could not be read as rows
	BadFiles []string                    // local CSV files of such: key, line, text, error
	Overlap  *Overlap                    // the page may hold rows that the table has
	More     bool                        // there may be more beyond this page
	Verify   func(context.Context) error // that nothing changed while it was read; nil: nothing could
}

// Empty tells whether a page changes neither rows nor position.
func (p Page) Empty() bool {
	return len(p.Items) == 0 && p.Cursor == nil && len(p.Parts) == 0 && len(p.Bad) == 0 && len(p.BadFiles) == 0
}

// Overlap says that a page begins before the position (a lag, a closed range): rows whose Column is From or more may be in the table
// already. Those that are, digit for digit and as often, are left out.
type Overlap struct {
	Column string
	From   string // as the column's type reads it; "": the whole table
}

// Part is local files that the engine can load, of one set of columns: Parquet, or delimited text.
type Part struct {
	Files   []PartFile
	Columns []string // what the table calls them, in the files' order; of text those that begin with "_" are the connector's own and are not stored
	Parquet bool     // typed rows; what follows is of text only

	Header     bool // the first line is the header
	Delimiter  string
	EmptyText  bool // a quoted empty field is an empty text, not NULL
	CRLF       bool // lines end in CR LF, not in LF
	LineBreaks bool // a quoted field may hold a line end
}

// PartFile is one local file and the item whose rows it holds; of a source without items the key names where the rows come from.
type PartFile struct {
	Path string
	Item Item
	Rows int64 // that it holds, as the connector counted them: the loader must find as many
}

// Bad is something of which nothing could be read as rows: an item, a line, a message.
type Bad struct {
	Key   string `json:"key"`  // of the item, or what it is called at the source
	Line  int64  `json:"line"` // 1-based, where it went wrong; 0 for the whole
	Text  string `json:"text"`
	Error string `json:"error"`
}

// Discovered is a stream that a source has.
type Discovered struct {
	Name    string             `json:"name"` // as the source knows it
	Columns []DiscoveredColumn `json:"columns,omitempty"`
	Key     []string           `json:"key,omitempty"`    // columns that identify a row
	Items   int                `json:"items,omitempty"`  // what it is made of: files of a pattern, partitions of a topic
	Unit    string             `json:"unit,omitempty"`   // what Items counts, "files"; "": the source counts nothing
	Rows    int64              `json:"rows,omitempty"`   // about
	Bytes   int64              `json:"bytes,omitempty"`  // about
	Modes   []string           `json:"modes,omitempty"`  // how it can be read, best first
	Stream  string             `json:"stream,omitempty"` // the configured stream that reads it
}

// DiscoveredColumn is a column, with its type in the source's words.
type DiscoveredColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Finding is the outcome of one check.
type Finding struct {
	What   string `json:"what"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
	Hint   string `json:"hint,omitempty"` // what to do when it is not OK; of what is OK, advice
}
