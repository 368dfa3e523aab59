package asl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a definition, so that a hostile file cannot exhaust the stack.
const maxDepth = 200

// node is a JSON value that remembers where it stands in the file, so that a problem can name its line.
type node struct {
	offset int     // byte offset of the value's first character
	scalar any     // string, json.Number, bool or nil, when neither object nor array
	object []field // in file order
	array  []*node
	kind   byte // '{', '[' or 's'
}

type field struct {
	name   string
	offset int // of the name
	value  *node
}

// readTree decodes one JSON document with positions. Duplicate names are reported as problems.
func readTree(data []byte, problems *problems) (*node, error) {
	if !utf8.Valid(data) {
		return nil, &syntaxError{offset: 0, err: errors.New("the file is not valid UTF-8")}
	}
	// Unmarshal knows the exact place of a syntax error, which the token stream does not.
	var raw json.RawMessage
	var se *json.SyntaxError
	if err := json.Unmarshal(data, &raw); errors.As(err, &se) {
		return nil, &syntaxError{offset: max(0, int(se.Offset)-1), err: err}
	}
	r := &treeReader{data: data, dec: json.NewDecoder(bytes.NewReader(data)), problems: problems}
	r.dec.UseNumber()
	root, err := r.value(0)
	if err != nil {
		return nil, &syntaxError{offset: int(r.dec.InputOffset()), err: err}
	}
	return root, nil
}

// syntaxError is JSON that cannot be read at all.
type syntaxError struct {
	offset int
	err    error
}

func (e *syntaxError) Error() string { return e.err.Error() }
func (e *syntaxError) Unwrap() error { return e.err }

type treeReader struct {
	data     []byte
	dec      *json.Decoder
	problems *problems
}

// next gives the next token and the offset of its first character.
func (r *treeReader) next() (json.Token, int, error) {
	at := int(r.dec.InputOffset())
	for at < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[at]) >= 0 {
		at++
	}
	tok, err := r.dec.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return tok, at, err
}

func (r *treeReader) value(depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nesting deeper than %d levels", maxDepth)
	}
	tok, at, err := r.next()
	if err != nil {
		return nil, err
	}
	n := &node{offset: at, kind: 's', scalar: tok}
	switch tok {
	case json.Delim('{'):
		n.kind, n.scalar = '{', nil
		return n, r.fields(n, depth)
	case json.Delim('['):
		n.kind, n.scalar, n.array = '[', nil, []*node{}
		for r.dec.More() {
			item, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			n.array = append(n.array, item)
		}
		_, _, err = r.next()
		return n, err
	}
	return n, nil
}

func (r *treeReader) fields(n *node, depth int) error {
	seen := map[string]bool{}
	for r.dec.More() {
		tok, at, err := r.next()
		if err != nil {
			return err
		}
		name, ok := tok.(string)
		if !ok {
			return fmt.Errorf("object name is not a string")
		}
		value, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		if seen[name] {
			r.problems.add(at, "%q is listed twice in one object", name)
			continue
		}
		seen[name] = true
		n.object = append(n.object, field{name: name, offset: at, value: value})
	}
	_, _, err := r.next()
	return err
}

// get is the value of the field called name, nil when the object has none.
func (n *node) get(name string) *node {
	for _, f := range n.object {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// plain is the node as ordinary Go values: map[string]any, []any, string, json.Number, bool, nil.
func (n *node) plain() any {
	switch n.kind {
	case '{':
		m := make(map[string]any, len(n.object))
		for _, f := range n.object {
			m[f.name] = f.value.plain()
		}
		return m
	case '[':
		list := make([]any, len(n.array))
		for i, item := range n.array {
			list[i] = item.plain()
		}
		return list
	}
	return n.scalar
}

// describe names the JSON type for messages.
func (n *node) describe() string {
	switch {
	case n.kind == '{':
		return "an object"
	case n.kind == '[':
		return "an array"
	}
	return typeName(n.scalar)
}
