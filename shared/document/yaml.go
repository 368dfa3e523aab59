package document

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// yamlReader turns the syntax tree of goccy/go-yaml into nodes.
type yamlReader struct {
	file string
	Collector
}

func parseYAML(file, text string) (_ *Node, err error) {
	r := &yamlReader{file: file}
	start := Position{File: file, Line: 1, Column: 1}
	// The parser is other people's code and reads what anyone writes: its panic is a bad document, not our end.
	defer func() {
		if p := recover(); p != nil {
			err = Problems{{File: file, Line: 1, Column: 1, Message: fmt.Sprintf("no valid YAML: the parser gave up (%v)", p)}}
		}
	}()
	if line := tooDeep(text); line > 0 {
		return nil, Problems{{File: file, Line: line, Column: 1, Message: "nested too deeply, or a line that is too long"}}
	}
	f, err := parser.ParseBytes([]byte(text), 0, parser.AllowDuplicateMapKey())
	if se, ok := errors.AsType[*yaml.SyntaxError](err); ok {
		pos := r.position(se.Token)
		return nil, Problems{{File: file, Line: pos.Line, Column: pos.Column, Message: "no valid YAML: " + se.Message}}
	} else if err != nil {
		return nil, Problems{{File: file, Line: 1, Column: 1, Message: "no valid YAML: " + err.Error()}}
	}
	root := &Node{Kind: Null, Pos: start}
	for i, doc := range f.Docs {
		if i > 0 && doc.Body != nil {
			r.Add(r.of(doc.Body), "keep one document in a file", "a second YAML document")
			break
		}
		if doc.Body != nil {
			root = r.node(doc.Body, 0)
		}
	}
	if r.Len() > 0 {
		return nil, r.list
	}
	return root, nil
}

// tooDeep is the line where a document nests deeper than the parser's recursion should go, 0 for none. It counts
// brackets also in text, so its bounds are far above what people write.
func tooDeep(text string) int {
	const maxBrackets, maxLine = 1000, 16 << 10
	open, width, line := 0, 0, 1
	for i := 0; i < len(text); i++ {
		width++
		switch text[i] {
		case '[', '{':
			open++
		case ']', '}':
			open = max(0, open-1)
		case '\n':
			line++
			width = 0
		}
		if open > maxBrackets || width > maxLine {
			return line
		}
	}
	return 0
}

func (r *yamlReader) position(t *token.Token) Position {
	p := Position{File: r.file, Line: 1, Column: 1}
	if t != nil && t.Position != nil {
		p.Line, p.Column = max(1, t.Position.Line), max(1, t.Position.Column)
	}
	return p
}

// of is where a node begins: of a block mapping its first key, whereas its own token is the colon.
func (r *yamlReader) of(n ast.Node) Position {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return r.of(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return r.of(n.Key)
	}
	return r.position(n.GetToken())
}

func (r *yamlReader) node(in ast.Node, depth int) *Node {
	out := &Node{Kind: Null, Pos: r.of(in)}
	if depth > maxDepth {
		r.Add(out.Pos, "", "nested more than %d deep", maxDepth)
		return out
	}
	switch n := in.(type) {
	case *ast.NullNode:
	case *ast.StringNode:
		out.Kind, out.Text = String, n.Value
	case *ast.LiteralNode:
		out.Kind, out.Text = String, n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.Kind, out.Text = Number, strings.TrimSpace(in.GetToken().Value)
	case *ast.BoolNode:
		out.Kind, out.Text = Bool, fmt.Sprint(n.Value)
	case *ast.MappingNode:
		out.Kind = Mapping
		for _, v := range n.Values {
			r.member(out, v, depth)
		}
	case *ast.MappingValueNode:
		out.Kind = Mapping
		r.member(out, n, depth)
	case *ast.SequenceNode:
		out.Kind = List
		for _, v := range n.Values {
			out.Items = append(out.Items, r.node(v, depth+1))
		}
	default:
		r.Add(out.Pos, "write the value out where it is used", "anchors, aliases, merge keys and tags are not supported")
	}
	return out
}

func (r *yamlReader) member(out *Node, v *ast.MappingValueNode, depth int) {
	key := r.node(v.Key, depth+1)
	if key.Kind == List || key.Kind == Mapping {
		r.Add(key.Pos, "", "a key must be text")
		return
	}
	if key.Kind == Null {
		key.Text = "null"
	}
	value := &Node{Kind: Null, Pos: key.Pos}
	if v.Value != nil {
		value = r.node(v.Value, depth+1)
	}
	out.Members = append(out.Members, Member{Key: key.Text, Pos: key.Pos, Value: value})
}
