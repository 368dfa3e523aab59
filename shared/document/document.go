// Package document reads YAML and JSON files that people write into a tree whose every value knows the line and
// column where it stands, and collects what is wrong with them, so that all mistakes of a file are shown at once.
//
// Configuration is data: anchors, aliases, merge keys and tags of YAML are refused, so that a value stands
// where it is used and a small file cannot grow into a big one.
package document

import (
	"fmt"
	"strings"
)

// Position is a place in a file. Line and Column count from 1; Column counts characters (runes), not bytes.
type Position struct {
	File   string
	Line   int
	Column int
}

// String is "file:line:column", which editors and terminals understand.
func (p Position) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Kind is what a Node holds.
type Kind string

// The kinds, named as they are shown to the user.
const (
	Null     Kind = "nothing"
	String   Kind = "text"
	Number   Kind = "a number"
	Bool     Kind = "true or false"
	List     Kind = "a list"
	Mapping  Kind = "a mapping"
	maxDepth      = 200
	// MaxSize is the largest document that Parse reads, in bytes.
	MaxSize = 1 << 20
)

// Node is a value of a document. Text is a scalar's text: decoded for a String, as written for the others.
type Node struct {
	Kind    Kind
	Pos     Position
	Text    string
	Items   []*Node  // of a List
	Members []Member // of a Mapping, in the order of the file
}

// Member is a key of a mapping and its value.
type Member struct {
	Key   string
	Pos   Position // of the key
	Value *Node
}

// Get is the value of a key of a mapping; nil when n is nil, no mapping, or has no such key.
func (n *Node) Get(key string) *Node {
	if n == nil {
		return nil
	}
	for _, m := range n.Members {
		if m.Key == key {
			return m.Value
		}
	}
	return nil
}

// Parse reads a document; a file whose name ends with ".json" is strict JSON, any other YAML 1.2. The error is a
// Problems.
func Parse(file string, data []byte) (*Node, error) {
	if len(data) > MaxSize {
		return nil, Problems{{File: file, Line: 1, Column: 1, Message: fmt.Sprintf("the file has %d bytes, more than %d", len(data), MaxSize)}}
	}
	if p, bad := badText(file, data); bad {
		return nil, Problems{p}
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	if strings.HasSuffix(strings.ToLower(file), ".json") {
		return parseJSON(file, text)
	}
	// goccy/go-yaml 1.19 counts a line twice that ends in a comment and \r\n.
	return parseYAML(file, strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text))
}
