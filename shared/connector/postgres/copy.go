package postgres

import (
	"bytes"
	"fmt"
)

// copied takes the rows of a COPY ... TO STDOUT to a sheet: the server sends each in a message of its own.
type copied struct {
	sheet *sheet
	meta  func() // appends the columns that tell of the change; nil: there are none
	first bool   // the first value is only looked at
	last  []byte // the first value of the row that came last
	meter *meter
	rows  int64
	bytes int64

	told   progress // of that, what the meter knows
	fields []field
}

// reportEach is how many rows the meter is told of at a time.
const reportEach = 4096

func (c *copied) report() {
	c.meter.add(c.rows-c.told.rows, c.bytes-c.told.bytes, string(c.last), 0)
	c.told = progress{c.rows, c.bytes}
}

// Write takes a row.
func (c *copied) Write(row []byte) (int, error) {
	n := len(row)
	c.fields = splitRow(bytes.TrimSuffix(row, []byte{'\n'}), c.fields)
	values := c.fields
	if c.first {
		c.last = append(c.last[:0], values[0].text...)
		values = values[1:]
	}
	if len(values) != len(c.sheet.add) {
		return 0, fmt.Errorf("a row of %d values for %d columns", len(values), len(c.sheet.add))
	}
	if c.meta != nil {
		c.meta()
	}
	for i, f := range values {
		c.sheet.value(i, f)
	}
	c.bytes += int64(n)
	if c.rows++; c.rows%reportEach == 0 {
		c.report()
	}
	return n, c.sheet.done(n)
}

// splitRow splits a line of COPY's text format, https://www.postgresql.org/docs/current/sql-copy.html, and unescapes the values in place.
func splitRow(row []byte, out []field) []field {
	out = out[:0]
	plain := bytes.IndexByte(row, '\\') < 0
	for {
		end := bytes.IndexByte(row, '\t')
		value := row
		if end >= 0 {
			value = row[:end]
		}
		f := field{text: value}
		if !plain {
			f = unescape(value)
		}
		out = append(out, f)
		if end < 0 {
			return out
		}
		row = row[end+1:]
	}
}

func unescape(b []byte) field {
	from := bytes.IndexByte(b, '\\')
	if from < 0 {
		return field{text: b}
	}
	if len(b) == 2 && b[1] == 'N' {
		return field{null: true}
	}
	n := from
	for i := from; i < len(b); i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) {
			i++
			c = escaped(b[i])
		}
		b[n] = c
		n++
	}
	return field{text: b[:n]}
}

// escaped is what a letter behind a backslash stands for. The server writes no others.
func escaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'v':
		return '\v'
	}
	return c
}
