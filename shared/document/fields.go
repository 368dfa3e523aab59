package document

import (
	"fmt"
	"slices"
	"strconv"
)

// Fields reads the keys of a mapping and notes what is wrong with them. A missing key reads as the zero value.
type Fields struct {
	c     *Collector
	node  *Node
	what  string
	wrong bool // no mapping: reported, and not to be reported again by each missing key
}

// Fields begins to read a mapping that `what` names in messages ("a source"). A node that is no mapping, keys
// that are not among known (none given = any), and keys written twice are problems.
func (c *Collector) Fields(n *Node, what string, known ...string) Fields {
	f := Fields{c: c, node: n, what: what}
	if n == nil {
		return f
	}
	if n.Kind != Mapping {
		c.Add(n.Pos, "", "%s must be a mapping of keys and values, not %s", what, n.Kind)
		f.node, f.wrong = &Node{Kind: Mapping, Pos: n.Pos}, true
		return f
	}
	seen := map[string]Position{}
	for _, m := range n.Members {
		if first, twice := seen[m.Key]; twice {
			c.Add(m.Pos, fmt.Sprintf("first on line %d", first.Line), "key %q stands twice", m.Key)
		}
		seen[m.Key] = m.Pos
		if len(known) > 0 && !slices.Contains(known, m.Key) {
			c.Add(m.Pos, DidYouMean(m.Key, known), "unknown key %q in %s", m.Key, what)
		}
	}
	return f
}

// Pos is the position of a key's value, or of the mapping when the key is missing.
func (f Fields) Pos(key string) Position {
	if n := f.node.Get(key); n != nil {
		return n.Pos
	}
	if f.node == nil {
		return Position{Line: 1, Column: 1}
	}
	return f.node.Pos
}

// Has tells whether the key is there.
func (f Fields) Has(key string) bool { return f.node.Get(key) != nil }

// Node is the value of a key, nil when it is missing.
func (f Fields) Node(key string) *Node { return f.node.Get(key) }

// Require notes a problem for each of the keys that is missing.
func (f Fields) Require(keys ...string) {
	for _, k := range keys {
		if f.node != nil && !f.wrong && !f.Has(k) {
			f.c.Add(f.node.Pos, "", "%s needs the key %q", f.what, k)
		}
	}
}

// String is a key's text. Numbers and booleans are taken as written.
func (f Fields) String(key string) string {
	s, _ := f.text(key)
	return s
}

func (f Fields) text(key string) (string, bool) {
	n := f.node.Get(key)
	if n == nil {
		return "", false
	}
	switch n.Kind {
	case Mapping, List, Null:
		f.c.Add(n.Pos, "", "%q must be text, not %s", key, n.Kind)
		return "", false
	}
	if n.Text == "" {
		f.c.Add(n.Pos, "", "%q is empty", key)
		return "", false
	}
	return n.Text, true
}

// Choice is a key's text, which must be one of the choices; fallback when the key is missing.
func (f Fields) Choice(key, fallback string, choices ...string) string {
	if !f.Has(key) {
		return fallback
	}
	s, ok := f.text(key)
	if !ok {
		return fallback
	}
	if !slices.Contains(choices, s) {
		f.c.Add(f.Pos(key), DidYouMean(s, choices), "%q cannot be %q", key, s)
		return fallback
	}
	return s
}

// Strings is a key's list of texts; a single text is a list of one.
func (f Fields) Strings(key string) []string {
	n := f.node.Get(key)
	if n == nil {
		return nil
	}
	items := n.Items
	if n.Kind != List {
		items = []*Node{n}
	} else if len(items) == 0 {
		f.c.Add(n.Pos, "", "%q is an empty list", key)
	}
	var out []string
	for _, item := range items {
		if item.Kind == Mapping || item.Kind == List || item.Kind == Null || item.Text == "" {
			f.c.Add(item.Pos, "", "%q must be text or a list of texts", key)
			continue
		}
		out = append(out, item.Text)
	}
	return out
}

// Bool is a key's truth value; fallback when the key is missing.
func (f Fields) Bool(key string, fallback bool) bool {
	n := f.node.Get(key)
	if n == nil {
		return fallback
	}
	if n.Kind != Bool {
		f.c.Add(n.Pos, "", "%q must be true or false, not %s", key, n.Kind)
		return fallback
	}
	return n.Text == "true"
}

// Float is a key's number; nil when the key is missing.
func (f Fields) Float(key string) *float64 {
	n := f.node.Get(key)
	if n == nil {
		return nil
	}
	v, err := strconv.ParseFloat(n.Text, 64)
	if n.Kind != Number || err != nil || v != v || v > 1e300 || v < -1e300 {
		f.c.Add(n.Pos, "", "%q must be a number", key)
		return nil
	}
	return &v
}

// Int is a key's whole number; nil when the key is missing.
func (f Fields) Int(key string) *int64 {
	n := f.node.Get(key)
	if n == nil {
		return nil
	}
	v, err := strconv.ParseInt(n.Text, 10, 64)
	if n.Kind != Number || err != nil {
		f.c.Add(n.Pos, "", "%q must be a whole number", key)
		return nil
	}
	return &v
}
