package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// jsonReader turns the tokens of encoding/json into nodes; the decoder's offsets give the positions.
type jsonReader struct {
	file   string
	text   string
	dec    *json.Decoder
	offset int // of the place that line and column name
	line   int
	column int
}

func parseJSON(file, text string) (*Node, error) {
	r := &jsonReader{file: file, text: text, dec: json.NewDecoder(strings.NewReader(text)), line: 1, column: 1}
	r.dec.UseNumber()
	n, err := r.value(0)
	if err == nil {
		if pos := r.next(); r.offset < len(text) {
			return nil, Problems{{File: pos.File, Line: pos.Line, Column: pos.Column, Message: "text after the end of the JSON document"}}
		}
		return n, nil
	}
	if ps, ok := errors.AsType[Problems](err); ok {
		return nil, ps
	}
	pos := r.at(int(r.dec.InputOffset()))
	message := err.Error()
	if se, ok := errors.AsType[*json.SyntaxError](err); ok {
		pos = r.at(r.offender(se))
	} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		pos, message = r.at(len(text)), "the file ends in the middle of a value"
	}
	return nil, Problems{{File: pos.File, Line: pos.Line, Column: pos.Column, Message: "no valid JSON: " + message}}
}

// offender is the offset of the character that a syntax error names: the error's own offset is sometimes that of the
// character, sometimes that behind it, and may leave out white space.
func (r *jsonReader) offender(se *json.SyntaxError) int {
	offset := int(se.Offset)
	for i := max(0, offset-1); i < len(r.text) && i <= offset+1; i++ {
		c, _ := utf8.DecodeRuneInString(r.text[i:])
		if strings.HasPrefix(se.Error(), "invalid character "+strconv.QuoteRune(c)) {
			return i
		}
	}
	return offset
}

// next is the position of the token that comes next.
func (r *jsonReader) next() Position {
	i := int(r.dec.InputOffset())
	for i < len(r.text) && strings.IndexByte(" \t\r\n,:", r.text[i]) >= 0 {
		i++
	}
	return r.at(i)
}

// at is the position of a byte offset. Offsets mostly grow, so counting goes on from the last one.
func (r *jsonReader) at(offset int) Position {
	offset = max(0, min(offset, len(r.text)))
	if offset < r.offset {
		r.offset, r.line, r.column = 0, 1, 1
	}
	skipped := r.text[r.offset:offset]
	if n := strings.Count(skipped, "\n"); n > 0 {
		r.line += n
		r.column = 1
		skipped = skipped[strings.LastIndexByte(skipped, '\n')+1:]
	}
	r.column += utf8.RuneCountInString(skipped)
	r.offset = offset
	return Position{File: r.file, Line: r.line, Column: r.column}
}

func (r *jsonReader) value(depth int) (*Node, error) {
	pos := r.next()
	if depth > maxDepth {
		return nil, Problems{{File: pos.File, Line: pos.Line, Column: pos.Column, Message: fmt.Sprintf("nested more than %d deep", maxDepth)}}
	}
	tok, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &Node{Pos: pos}
	switch t := tok.(type) {
	case nil:
		n.Kind = Null
	case bool:
		n.Kind, n.Text = Bool, fmt.Sprint(t)
	case json.Number:
		n.Kind, n.Text = Number, t.String()
	case string:
		n.Kind, n.Text = String, t
	case json.Delim:
		if t == '{' {
			n.Kind = Mapping
			err = r.members(n, depth)
		} else {
			n.Kind = List
			err = r.items(n, depth)
		}
	}
	return n, err
}

func (r *jsonReader) members(n *Node, depth int) error {
	for r.dec.More() {
		pos := r.next()
		key, err := r.dec.Token()
		if err != nil {
			return err
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.Members = append(n.Members, Member{Key: fmt.Sprint(key), Pos: pos, Value: v})
	}
	_, err := r.dec.Token()
	return err
}

func (r *jsonReader) items(n *Node, depth int) error {
	for r.dec.More() {
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.Items = append(n.Items, v)
	}
	_, err := r.dec.Token()
	return err
}
