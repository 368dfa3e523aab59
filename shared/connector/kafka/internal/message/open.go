package message

import (
	"fmt"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/cells"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
)

// The bounds of rows whose columns are found in the messages.
const (
	pendingRows  = 16 << 10 // looked at together, to find the columns that they have in common
	pendingBytes = 8 << 20
	maxTyped     = 64   // sets of columns in a page; behind that all columns are text
	maxColumns   = 2000 // of a table
)

// open builds rows of JSON objects. Messages of one topic do not all have the same fields, and the values of a field not always the same type.
// So a number of messages are looked at together: those whose types go together share a table with all their columns; a message with a field
// of another type goes into another table, and the bronze step decides what becomes of the value.
type open struct {
	spool   *spool.Spool
	objects object
	pending []pendingRow
	lanes   []*lane
	tables  int  // that were made
	asText  bool // all columns are text from now on
}

type pendingRow struct {
	head     head
	from, to int // its fields
}

// lane is a table whose columns become more.
type lane struct {
	kinds map[int32]laneColumn // by the field's name
	names []int32              // of the columns
	table *table
	cells *cells.Row
	rows  []int // of the pending ones
	grown bool
}

type laneColumn struct {
	at   int
	kind kind
}

func newOpen(s *spool.Spool) *open {
	return &open{spool: s, objects: object{index: map[string]int32{}}}
}

// add takes a message, whose fields it reads by the codec.
func (o *open) add(c openCodec, h head, body []byte) error {
	from := len(o.objects.fields)
	err := c.fields(body, &o.objects)
	if err == nil && len(o.objects.fields)-from > maxColumns {
		err = fmt.Errorf("an object of more than %d fields", maxColumns)
	}
	if err != nil {
		o.objects.fields = o.objects.fields[:from]
		return err
	}
	o.pending = append(o.pending, pendingRow{h, from, len(o.objects.fields)})
	return nil
}

// full tells whether it is time to build rows.
func (o *open) full() bool { return len(o.pending) >= pendingRows || o.objects.size >= pendingBytes }

// flush builds the rows so far.
func (o *open) flush() error {
	if o.tables > maxTyped && !o.asText {
		if err := o.flushLanes(); err != nil {
			return err
		}
		o.asText, o.lanes = true, nil
	}
	if o.asText {
		for i := range o.objects.fields {
			plainText(&o.objects.fields[i])
		}
	} else {
		o.mixNumbers()
	}
	for i := range o.pending {
		l := o.lane(i)
		l.rows = append(l.rows, i)
	}
	for _, l := range o.lanes {
		if err := o.build(l); err != nil {
			return err
		}
	}
	o.pending, o.objects.fields, o.objects.size = o.pending[:0], o.objects.fields[:0], 0
	return nil
}

func plainText(f *field) {
	f.kind = kindText
	if f.cell.State == cells.Other {
		f.cell.State = cells.There
	}
}

// mixNumbers makes doubles of whole numbers, of fields that have both: 10 next to 9.5 is no other type. Not if a digit were lost.
func (o *open) mixNumbers() {
	type seen struct{ long, double, large bool }
	all := make([]seen, len(o.objects.names))
	for i := range o.objects.fields {
		f := &o.objects.fields[i]
		s := &all[f.name]
		if f.cell.State == cells.There && f.inferred {
			s.double = s.double || f.kind == kindDouble
			s.long = s.long || f.kind == kindLong
			s.large = s.large || f.kind == kindLong && (f.cell.Num > 1<<53 || f.cell.Num < -1<<53)
		}
	}
	for i := range o.objects.fields {
		f := &o.objects.fields[i]
		if s := all[f.name]; f.kind == kindLong && f.inferred && s.double && !s.large && f.cell.State == cells.There {
			f.kind = kindDouble
			f.cell.SetFloat(float64(f.cell.Num))
		}
	}
}

// lane finds the table for a pending row, and gives it the columns that it lacks.
func (o *open) lane(row int) *lane {
	fields := o.objects.fields[o.pending[row].from:o.pending[row].to]
	for _, l := range o.lanes {
		if l.takes(fields) {
			return l
		}
	}
	l := &lane{kinds: map[int32]laneColumn{}, grown: true}
	l.takes(fields)
	o.lanes = append(o.lanes, l)
	return l
}

// takes tells whether fields go with the columns so far, and adds those that are new.
func (l *lane) takes(fields []field) bool {
	more := 0
	for _, f := range fields {
		c, ok := l.kinds[f.name]
		switch {
		case f.cell.State == cells.Null:
		case !ok:
			more++
		case c.kind != f.kind:
			return false
		}
	}
	if len(l.names) > 0 && len(l.names)+more > maxColumns {
		return false
	}
	for _, f := range fields {
		if _, ok := l.kinds[f.name]; !ok && f.cell.State != cells.Null {
			l.kinds[f.name] = laneColumn{len(l.names), f.kind}
			l.names = append(l.names, f.name)
			l.grown = true
		}
	}
	return true
}

// build builds the pending rows of a lane.
func (o *open) build(l *lane) error {
	if len(l.rows) == 0 {
		return nil
	}
	if l.grown {
		if err := l.flush(); err != nil {
			return err
		}
		columns := o.columns(l)
		l.table, l.grown = newTable(o.spool, columns), false
		l.cells = cells.NewRow(l.table.rows, 0, len(columns))
		l.table.value = l.cells
		o.tables++
	}
	for _, i := range l.rows {
		row := o.pending[i]
		l.cells.Clear()
		for _, f := range o.objects.fields[row.from:row.to] {
			if c, ok := l.kinds[f.name]; ok { // of a name that comes twice the last counts
				l.cells.Cells[c.at] = f.cell
			}
		}
		if err := l.table.add(row.head, upsert); err != nil {
			return err
		}
	}
	l.rows = l.rows[:0]
	return nil
}

func (l *lane) flush() error {
	if l.table == nil {
		return nil
	}
	return l.table.rows.Flush()
}

func (o *open) columns(l *lane) []spool.Column {
	names, columns := make([]string, len(l.names)), make([]spool.Column, len(l.names))
	for i, n := range l.names {
		names[i] = o.objects.names[n]
	}
	for i, name := range connector.ColumnNames(names) {
		columns[i] = spool.Column{Name: name, Type: l.kinds[l.names[i]].kind.arrow()}
	}
	return columns
}

// finish builds all that is left.
func (o *open) finish() error {
	if err := o.flush(); err != nil {
		return err
	}
	return o.flushLanes()
}

func (o *open) flushLanes() error {
	for _, l := range o.lanes {
		if err := l.flush(); err != nil {
			return err
		}
	}
	return nil
}
