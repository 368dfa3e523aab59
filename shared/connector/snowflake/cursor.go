package snowflake

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// position is how far a stream of mode watermark has been read: its document, in the table's commit. Rows are read in rounds. A round has an
// end that is fixed when it begins, the greatest value of the cursor column, so that rows that arrive meanwhile do not matter; its pages go
// from value to value. The next round begins the lag before the end of the last one.
type position struct {
	V     int    `json:"v"`
	Type  string `json:"type"`            // of the cursor column
	Value string `json:"value"`           // up to where rows were taken in this round, exactly
	Until string `json:"until"`           // the end of the round
	Again bool   `json:"again,omitempty"` // the round began before the end of another: the table may have its rows
	From  string `json:"from"`            // the lag before the end of the round
	Rows  int64  `json:"rows"`            // from there to the end of the round, when the round began
	Width int64  `json:"width,omitempty"` // bytes of a row
	Odd   bool   `json:"odd,omitempty"`   // the cursor column has values that stand beside it as texts
}

// under tells whether a round is under way.
func (p position) under() bool { return p.Value != p.Until }

// parsePosition reads a position; ok is false at the beginning.
func parsePosition(seen connector.Position, st stream, c cursor) (p position, ok bool, err error) {
	if len(seen.Cursor) == 0 {
		return p, false, nil
	}
	if err := json.Unmarshal(seen.Cursor, &p); err != nil || p.V != 1 {
		return p, false, fault.New(fault.SourceLost, "read position of", st.name, "it is none of this connector in mode watermark").
			WithHint("the stream was read in another way before: refresh its table as a whole")
	}
	if p.Type != c.typ {
		return p, false, fault.New(fault.SourceLost, "read position of", st.name, "cursor_column %s was %s, and is %s", c.name, p.Type, c.typ).
			WithHint("values of both types do not compare: refresh the stream's table as a whole")
	}
	return p, true, nil
}

// document is a position in a commit.
func (p position) document() json.RawMessage {
	b, _ := json.Marshal(p) // of texts and numbers
	return b
}

// cursor is a stream's cursor column.
type cursor struct {
	column
	typ    string // NUMBER, DATE, VARCHAR, TIMESTAMP_NTZ, or TIMESTAMP_TZ of both that are instants
	target string // the column in the table
}

// cursorTypes are what a cursor column can be, by the server's kinds. Values of one type are written in one way each.
var cursorTypes = map[string]string{"fixed": "NUMBER", "date": "DATE", "text": "VARCHAR", "timestamp_ntz": "TIMESTAMP_NTZ", "timestamp_ltz": "TIMESTAMP_TZ", "timestamp_tz": "TIMESTAMP_TZ"}

func newCursor(st stream, all, read []column) (cursor, error) {
	c, err := find(all, st.cursor)
	if err != nil {
		return cursor{}, fault.New(fault.InvalidInput, "read stream", st.name, "%w", err).WithHint("check cursor_column (%s)", st.at)
	}
	typ, ok := cursorTypes[c.kind]
	if !ok {
		return cursor{}, fault.New(fault.InvalidInput, "read stream", st.name, "cursor_column %s is %s", c.name, c.text()).
			WithHint("a cursor column is a TIMESTAMP, DATE, NUMBER or VARCHAR; a query can cast it (%s)", st.at)
	}
	if st.lag > 0 && (typ == "NUMBER" || typ == "VARCHAR") {
		return cursor{}, fault.New(fault.InvalidInput, "read stream", st.name, "lag is a span of time, and cursor_column %s is %s", c.name, typ).
			WithHint("leave lag out, or take a TIMESTAMP or DATE for cursor_column (%s)", st.at)
	}
	sh := newShape(read)
	for i, r := range read {
		if r.name == c.name {
			return cursor{c, typ, sh.names[i]}, nil
		}
	}
	return cursor{}, fault.New(fault.Internal, "read stream", st.name, "cursor_column %s is not read", c.name)
}

// sql is the column in a statement.
func (c cursor) sql() string { return quoted(c.name) }

var (
	number  = regexp.MustCompile(`^[+-]?(\d+\.?\d*|\.\d+)$`)
	layouts = []string{"2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999 Z07:00", "2006-01-02 15:04:05.999999999 -0700", "2006-01-02 15:04:05.999999999-07",
		"2006-01-02 15:04:05.999999999", "2006-01-02 15:04Z07:00", "2006-01-02 15:04", "2006-01-02"}
)

// parse reads a value as people write it, and gives it as this connector does: one text for each value. A timestamp without a zone is UTC.
func (c cursor) parse(text string) (string, error) {
	if c.typ == "VARCHAR" {
		return text, nil
	}
	text = strings.TrimSpace(text)
	switch c.typ {
	case "NUMBER":
		if number.MatchString(text) {
			return strings.TrimPrefix(text, "+"), nil
		}
	default:
		if len(text) > 10 && (text[10] == 'T' || text[10] == 't') {
			text = text[:10] + " " + text[11:]
		}
		for _, layout := range layouts {
			if t, err := time.Parse(layout, text); err == nil {
				return c.format(t), nil
			}
		}
	}
	return "", fault.New(fault.InvalidInput, "read value", text, "it is no %s", c.typ)
}

func (c cursor) format(t time.Time) string {
	switch c.typ {
	case "DATE":
		return t.Format("2006-01-02")
	case "TIMESTAMP_NTZ":
		return t.UTC().Format(plainLayout)
	}
	return t.UTC().Format(zoneLayout)
}

// moment is the time of a value that format wrote.
func (c cursor) moment(value string) (time.Time, error) {
	layout := map[string]string{"DATE": "2006-01-02", "TIMESTAMP_NTZ": plainLayout, "TIMESTAMP_TZ": zoneLayout}[c.typ]
	t, err := time.Parse(layout, value)
	if err != nil {
		return t, fault.New(fault.SourceLost, "read value", value, "it is no %s", c.typ).WithHint("refresh the stream's table as a whole")
	}
	return t, nil
}

// back is the value a lag before another one. A lag of a DATE is whole days, rounded up.
func (c cursor) back(value string, lag time.Duration) (string, error) {
	if lag == 0 {
		return value, nil
	}
	t, err := c.moment(value)
	if err != nil {
		return "", err
	}
	if c.typ == "DATE" {
		day := 24 * time.Hour
		lag = (lag + day - 1) / day * day
	}
	return c.format(t.Add(-lag)), nil
}

// literal is a value in SQL.
func (c cursor) literal(value string) string {
	switch c.typ {
	case "NUMBER":
		return value
	case "VARCHAR":
		return literal(value)
	case "DATE":
		return literal(value) + "::DATE"
	}
	typ := c.typ
	if c.kind == "timestamp_ltz" { // the column's own type, so that the condition can be held against what is known of its files
		typ = "TIMESTAMP_LTZ"
	}
	return literal(value) + "::" + typ + "(9)"
}

// overlap says that a page may hold rows from a value on that the table has.
func (c cursor) overlap(from string, odd bool) *connector.Overlap {
	if odd || c.typ == "VARCHAR" { // what stands beside the column cannot be compared with it, and texts may be in another order here
		return &connector.Overlap{}
	}
	if t, err := c.moment(from); err == nil && c.typ != "DATE" {
		from = t.UTC().Truncate(time.Microsecond).Format("2006-01-02 15:04:05.000000+00")
	}
	return &connector.Overlap{Column: c.target, From: from}
}

// span is a range of a cursor column. Its greatest value belongs to it.
type span struct {
	from   *string // nil is no bound
	beyond bool    // from itself does not belong to it
	to     *string // nil is no bound
}

// where is the condition on rows of a span, which are those without NULL.
func (c cursor) where(s span) string {
	conditions := c.sql() + " IS NOT NULL"
	if s.from != nil {
		op := ">="
		if s.beyond {
			op = ">"
		}
		conditions += fmt.Sprintf(" AND %s %s %s", c.sql(), op, c.literal(*s.from))
	}
	if s.to != nil {
		conditions += fmt.Sprintf(" AND %s <= %s", c.sql(), c.literal(*s.to))
	}
	return conditions
}
