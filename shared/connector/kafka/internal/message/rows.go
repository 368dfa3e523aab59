// Package message turns messages of Kafka into the rows of a page. A value's fields become columns, typed by the schema that it was written
// with, as far as Delta has a type for them; whatever is nested is JSON text. What cannot be read goes to the rejected rows, with the reason.
package message

import (
	"context"
	"encoding/base64"
	"errors"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/cells"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
	"github.com/lakestep/lakestep/shared/fault"
)

// Rows builds the rows of one page. It is for one goroutine.
type Rows struct {
	o       Options
	spool   *spool.Spool
	rejects rejects
	tables  map[codec]typed
	open    *open
	gone    *table              // of tombstones
	order   []*table            // in which they came: the first one of a topic gives the bronze table its types
	codecs  map[codecKey]lookup // of this page: what the registry does not have it may have later
	last    lookup              // most messages are of the schema of the one before
	rows    int64
	held    int // bytes of messages whose rows may not be in the spool yet
}

// maxHeld bounds those: the rows of each schema are built apart from others.
const maxHeld = 32 << 20

// Options say what the messages of a page are like.
type Options struct {
	Dir      string // of the page's files
	Origin   string // what the rows say they come from
	Value    Format
	Key      Format
	Registry *Registry // nil where no format needs one
}

type lookup struct {
	key   codecKey
	codec any
	err   error
}

// NewRows begins a page.
func NewRows(o Options) *Rows {
	s := spool.New(o.Dir, o.Origin)
	return &Rows{o: o, spool: s, rejects: rejects{dir: o.Dir}, tables: map[codec]typed{}, open: newOpen(s), codecs: map[codecKey]lookup{}}
}

// maxTables bounds the sets of columns of a page: each holds memory and an open file.
const maxTables = 200

// Full tells whether the page should end for the number of its sets of columns.
func (r *Rows) Full() bool { return len(r.tables)+r.open.tables >= maxTables }

// Add takes a message, as a row or as a rejected one. An error is a fault of the surroundings: then the page cannot be read.
func (r *Rows) Add(ctx context.Context, m *kgo.Record) error {
	err := r.add(ctx, m)
	if err == nil {
		r.rows++
		if r.open.full() {
			return r.open.flush()
		}
		if r.held += len(m.Value); r.held > maxHeld {
			return r.flush()
		}
		return nil
	}
	var f *fault.Fault
	if errors.As(err, &f) {
		return err
	}
	return r.rejects.add(m, err)
}

func (r *Rows) add(ctx context.Context, m *kgo.Record) (err error) {
	h := head{message: m}
	if h.key, err = r.keyOf(ctx, m.Key); err != nil {
		return err
	}
	if m.Value == nil {
		if r.gone == nil {
			r.gone = r.table(nil)
		}
		return r.gone.add(h, remove)
	}
	c, body, err := r.codecOf(ctx, &h, m.Value)
	if err != nil {
		return err
	}
	switch c := c.(type) {
	case openCodec:
		return r.open.add(c, h, body)
	case codec:
		return r.typed(c, h, body)
	}
	return fault.New(fault.Internal, "read", m.Topic, "a value of format %s has no codec", r.o.Value)
}

// typed is a table with what decodes its values.
type typed struct {
	*table
	reader
}

func (r *Rows) typed(c codec, h head, body []byte) error {
	t, ok := r.tables[c]
	if !ok {
		t.table = r.table(c.columns())
		t.reader = c.reader(t.rows)
		t.value = t.reader
		r.tables[c] = t
	}
	if err := t.decode(body); err != nil {
		return err
	}
	return t.add(h, upsert)
}

func (r *Rows) table(columns []spool.Column) *table {
	t := newTable(r.spool, columns)
	r.order = append(r.order, t)
	return t
}

// codecOf gives the codec of a value, and the value without what leads to it.
func (r *Rows) codecOf(ctx context.Context, h *head, value []byte) (any, []byte, error) {
	if !r.o.Value.NeedsRegistry() {
		return plainCodecs[r.o.Value], value, nil
	}
	k, body, err := wire(r.o.Value, value)
	if err != nil {
		return nil, nil, err
	}
	h.schema, h.known = k.id, true
	c, err := r.lookup(ctx, k)
	return c, body, err
}

// lookup asks the registry for a codec once in a page, whatever it answers.
func (r *Rows) lookup(ctx context.Context, k codecKey) (any, error) {
	if k == r.last.key {
		return r.last.codec, r.last.err
	}
	l, ok := r.codecs[k]
	if !ok {
		l.key = k
		l.codec, l.err = r.o.Registry.codec(ctx, k)
		r.codecs[k] = l
	}
	r.last = l
	return l.codec, l.err
}

// keyOf gives a key as text, nil for none.
func (r *Rows) keyOf(ctx context.Context, key []byte) (text []byte, err error) {
	switch {
	case key == nil:
		return nil, nil
	case r.o.Key.NeedsRegistry():
		text, err = r.registryKey(ctx, key)
	case r.o.Key == JSON:
		var v gjson.Result
		if v, err = parseJSON(key); err == nil {
			text = jsonKey(v)
		}
	case r.o.Key == Binary, !utf8.Valid(key):
		text = base64.StdEncoding.AppendEncode([]byte{}, key)
	default:
		text = key
	}
	if err != nil {
		err = keyError(err)
	}
	return text, err
}

// keyError says of a message's error that it is the key's.
func keyError(err error) error {
	var f *fault.Fault
	if errors.As(err, &f) {
		return err
	}
	return errors.New("the key: " + err.Error())
}

func (r *Rows) registryKey(ctx context.Context, key []byte) ([]byte, error) {
	k, body, err := wire(r.o.Key, key)
	if err != nil {
		return nil, err
	}
	c, err := r.lookup(ctx, k)
	if err != nil {
		return nil, err
	}
	return c.(keyCodec).key(body)
}

// Rows is how many rows there are so far, and how many rejected messages.
func (r *Rows) Rows() (rows, rejected int64) { return r.rows, r.rejects.count }

// flush hands all rows to the spool.
func (r *Rows) flush() error {
	r.held = 0
	for _, t := range r.order {
		if err := t.rows.Flush(); err != nil {
			return err
		}
	}
	return r.open.finish()
}

// Finish completes the page's files.
func (r *Rows) Finish(page *connector.Page) error {
	err := r.flush()
	if err != nil {
		return err
	}
	if page.Bad, page.BadFiles, err = r.rejects.finish(); err != nil {
		return err
	}
	page.Parts, err = r.spool.Parts()
	return err
}

// Abort gives up what was built. Behind Finish it does nothing.
func (r *Rows) Abort() {
	r.spool.Abort()
	r.rejects.abort()
}

// plainCodecs are those of formats without a registry.
var plainCodecs = map[Format]any{JSON: jsonCodec{}, Text: textCodec{}, Binary: binaryCodec{}}

type jsonCodec struct{}

func (jsonCodec) fields(payload []byte, o *object) error {
	root, err := parseJSON(payload)
	if err != nil {
		return err
	}
	if !root.IsObject() {
		return errNotObject
	}
	root.ForEach(func(k, v gjson.Result) bool {
		o.infer(k.String(), v)
		return true
	})
	return nil
}

type textCodec struct{}

func (textCodec) columns() []spool.Column {
	return []spool.Column{{Name: valueColumn, Type: arrow.BinaryTypes.String}}
}

func (textCodec) reader(rows *spool.Rows) reader { return plainReader{cells.NewRow(rows, 0, 1), true} }

type binaryCodec struct{}

func (binaryCodec) columns() []spool.Column {
	return []spool.Column{{Name: valueColumn, Type: arrow.BinaryTypes.Binary}}
}

func (binaryCodec) reader(rows *spool.Rows) reader {
	return plainReader{cells.NewRow(rows, 0, 1), false}
}

// plainReader takes values as they are.
type plainReader struct {
	*cells.Row
	text bool
}

func (p plainReader) decode(payload []byte) error {
	p.Cells[0].SetText(payload)
	if p.text && !utf8.Valid(payload) {
		return errNotUTF8
	}
	return nil
}
