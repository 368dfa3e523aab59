package postgres

import "github.com/apache/arrow-go/v18/arrow/array"

// listAppender appends arrays of one dimension as lists.
type listAppender[T any, B array.Builder] struct {
	parse func([]byte) (T, bool)
	add   func(B, T)
	lists *array.ListBuilder
	to    B

	copy   []byte // of the array's text: its elements are unescaped in place
	found  []element
	values []T
}

// append reads all elements before it appends one: an array that does not fit leaves nothing behind.
func (l *listAppender[T, B]) append(text []byte) bool {
	l.copy = append(l.copy[:0], text...)
	var ok bool
	if l.found, ok = elements(l.copy, l.found); !ok {
		return false
	}
	l.values = l.values[:0]
	for _, e := range l.found {
		var v T
		if !e.null {
			if v, ok = l.parse(e.text); !ok {
				return false
			}
		}
		l.values = append(l.values, v)
	}
	l.lists.Append(true)
	for i, v := range l.values {
		if l.found[i].null {
			l.to.AppendNull()
		} else {
			l.add(l.to, v)
		}
	}
	return true
}

// element is one of a list as the server prints it: {1,NULL,"a \"b\""}.
type element struct {
	text []byte
	null bool
}

// elements splits a list of one dimension that is numbered from 1, which is what a list of the lake is. Of another it says that it is not.
// The texts may be parts of b, which unescaping overwrites.
func elements(b []byte, out []element) ([]element, bool) {
	out = out[:0]
	if len(b) < 2 || b[0] != '{' || b[len(b)-1] != '}' {
		return out, false
	}
	b = b[1 : len(b)-1]
	if len(b) == 0 {
		return out, true
	}
	for {
		e, rest, ok := firstElement(b)
		if !ok {
			return out, false
		}
		out = append(out, e)
		if len(rest) == 0 {
			return out, true
		}
		if rest[0] != ',' {
			return out, false
		}
		b = rest[1:]
	}
}

func firstElement(b []byte) (e element, rest []byte, ok bool) {
	if len(b) == 0 || b[0] == '{' {
		return e, nil, false
	}
	if b[0] == '"' {
		return quotedElement(b[1:])
	}
	n := 0
	for n < len(b) && b[n] != ',' {
		n++
	}
	e.text = b[:n]
	e.null = text(e.text) == "NULL"
	return e, b[n:], n > 0
}

// quotedElement unescapes in place up to the closing quote.
func quotedElement(b []byte) (e element, rest []byte, ok bool) {
	n := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			return element{text: b[:n]}, b[i+1:], true
		case '\\':
			if i++; i == len(b) {
				return e, nil, false
			}
		}
		b[n] = b[i]
		n++
	}
	return e, nil, false
}
