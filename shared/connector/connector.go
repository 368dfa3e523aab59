// Package connector is the port to where data comes from. A Source gives the parts of its streams that a position has not
// covered yet, a bounded page at a time; a position is kept in the commit of the data that it covers.
package connector

import "context"

// Source reads the streams of one configured source. Close frees what it holds.
type Source interface {
	// Pending tells how much lies beyond a position, without reading it.
	Pending(ctx context.Context, stream string, seen Position) (Backlog, error)
	// Next gives the next page beyond a position, in dir the local files that the page needs. A page without Items is the end.
	Next(ctx context.Context, stream string, seen Position, dir string, limit Limit) (Page, error)
}

// Position is how far a stream has been read: the items that were taken, by key.
type Position map[string]Item

// Item is a unit that a source gives whole: a file.
type Item struct {
	Key    string `json:"key"`
	Size   int64  `json:"size"`            // bytes
	ETag   string `json:"etag"`            // of the store; a changed one makes the digest count
	SHA256 string `json:"sha256"`          // of the content
	Batch  string `json:"batch,omitempty"` // the {batch} segment of its path
}

// Backlog is what lies beyond a position.
type Backlog struct {
	Items int
	Bytes int64
}

// Limit bounds a page: it ends before the item that would pass either, but holds one at least.
type Limit struct {
	Items int
	Bytes int64
}

// Page is a bounded piece of a stream.
type Page struct {
	Items    []Item                      // what the position gains, in the order taken
	Parts    []Part                      // the rows
	Bad      []Bad                       // items that could not be read at all
	BadFiles []string                    // local CSV files of lines that hold no row: key, line, text, error
	More     bool                        // there is more beyond this page
	Verify   func(context.Context) error // that nothing changed while it was read
}

// Part is delimited text that the engine can load: local files of one set of columns. Columns that begin with "_" are the connector's
// own and are not stored.
type Part struct {
	Files      []PartFile
	Columns    []string
	Header     bool // the first line is the header
	Delimiter  string
	EmptyText  bool // a quoted empty field is an empty text, not NULL
	CRLF       bool // lines end in CR LF, not in LF
	LineBreaks bool // a quoted field may hold a line end
}

// PartFile is one local file and the item whose rows it holds.
type PartFile struct {
	Path string
	Item Item
	Rows int64 // that it holds, as the connector counted them: the loader must find as many
}

// Bad is an item of which nothing could be read as rows.
type Bad struct {
	Key   string
	Line  int64 // 1-based, where it went wrong; 0 for the whole item
	Text  string
	Error string
}
