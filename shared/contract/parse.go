package contract

import (
	"cmp"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/document"
)

// The keys that the standard's JSON schema allows (ODCS 3.1.0). Those that tell nothing about data are accepted unread.
var (
	rootKeys = []string{"version", "kind", "apiVersion", "id", "name", "tenant", "tags", "status", "servers", "dataProduct", "description", "domain",
		"schema", "support", "price", "team", "roles", "slaDefaultElement", "slaProperties", "authoritativeDefinitions", "customProperties", "contractCreatedTs"}
	elementKeys = []string{"id", "name", "physicalName", "physicalType", "logicalType", "description", "businessName", "authoritativeDefinitions", "tags",
		"customProperties", "relationships", "quality", "properties"}
	objectKeys   = append([]string{"dataGranularityDescription"}, elementKeys...)
	propertyKeys = append([]string{"primaryKey", "primaryKeyPosition", "logicalTypeOptions", "required", "unique", "partitioned", "partitionKeyPosition",
		"classification", "encryptedName", "transformSourceObjects", "transformLogic", "transformDescription", "examples", "criticalDataElement", "items"}, elementKeys...)
	logicalTypes = []string{"string", "date", "timestamp", "time", "number", "integer", "object", "array", "boolean"}
)

// parser reads one contract and collects what is wrong with it.
type parser struct {
	document.Collector
	c *Contract
}

// Parse reads a contract: JSON when the file's name ends with ".json", else YAML. The error is an InvalidInput fault around
// document.Problems, all of them at once.
func Parse(file string, data []byte) (*Contract, error) {
	p := &parser{c: &Contract{File: file}}
	root, err := document.Parse(file, data)
	if err != nil {
		p.AddError(document.Position{File: file, Line: 1, Column: 1}, err)
	} else {
		p.root(root)
	}
	if err := p.Err("load", "contract "+file); err != nil {
		return nil, err
	}
	return p.c, nil
}

func (p *parser) root(root *document.Node) {
	f := p.Fields(root, "a contract", rootKeys...)
	f.Require("version", "apiVersion", "kind", "id", "status")
	p.c.Version, p.c.ID, p.c.Status = p.optional(f, "version"), p.optional(f, "id"), p.optional(f, "status")
	p.c.Name = p.optional(f, "name")
	p.unread(f, document.String, "tenant", "dataProduct", "domain", "slaDefaultElement", "contractCreatedTs")
	p.unread(f, document.List, "tags", "servers", "support", "roles", "slaProperties", "authoritativeDefinitions", "customProperties")
	f.Choice("kind", "DataContract", "DataContract")
	p.c.APIVersion = f.Choice("apiVersion", "", "v3.1.0", "v3.0.2", "v3.0.1", "v3.0.0")
	if n := f.Node("description"); n != nil {
		d := p.Fields(n, "description", "usage", "purpose", "limitations", "authoritativeDefinitions", "customProperties")
		p.unread(d, document.String, "usage", "limitations")
		p.c.Description = p.optional(d, "purpose")
	}
	for _, n := range p.list(f, "schema") {
		p.object(n)
	}
}

// optional is a text that may be empty.
func (p *parser) optional(f document.Fields, key string) string {
	n := f.Node(key)
	if n == nil || (n.Kind == document.String && n.Text == "") {
		return ""
	}
	if n.Kind != document.String {
		p.Add(n.Pos, "", "%q must be text, not %s", key, n.Kind)
		return ""
	}
	return n.Text
}

// unread checks the kind of keys whose values are for people.
func (p *parser) unread(f document.Fields, kind document.Kind, keys ...string) {
	for _, key := range keys {
		if n := f.Node(key); n != nil && n.Kind != kind {
			p.Add(n.Pos, "", "%q must be %s, not %s", key, kind, n.Kind)
		}
	}
}

// list is the items of a key that must be a list.
func (p *parser) list(f document.Fields, key string) []*document.Node {
	n := f.Node(key)
	if n == nil {
		return nil
	}
	if n.Kind != document.List {
		p.Add(n.Pos, "", "%q must be a list, not %s", key, n.Kind)
		return nil
	}
	return n.Items
}

func (p *parser) object(n *document.Node) {
	f := p.Fields(n, "a schema object", objectKeys...)
	f.Require("name")
	o := &Object{Contract: p.c, Name: p.nameOf(f), Description: p.optional(f, "description"), Pos: n.Pos}
	f.Choice("logicalType", "object", "object")
	p.unread(f, document.String, "id", "physicalType", "businessName", "dataGranularityDescription")
	p.unread(f, document.List, "tags", "authoritativeDefinitions", "customProperties", "relationships")
	if _, twice := p.c.Object(o.Name); twice {
		p.Add(n.Pos, "", "two schema objects are named %q", o.Name)
	}
	type key struct {
		name     string
		position int64
	}
	var keys []key
	for _, item := range p.list(f, "properties") {
		c, position := p.property(o, item)
		if _, twice := o.Column(c.Name); twice {
			p.Add(item.Pos, "", "two properties of %s are named %q", o.Name, c.Name)
		}
		o.Columns = append(o.Columns, c)
		if c.PrimaryKey {
			keys = append(keys, key{c.Name, position})
		}
	}
	slices.SortStableFunc(keys, func(a, b key) int { return cmp.Compare(a.position, b.position) })
	for _, k := range keys {
		o.PrimaryKey = append(o.PrimaryKey, k.name)
	}
	for _, item := range p.list(f, "quality") {
		p.quality(o, nil, item)
	}
	if r := f.Node("relationships"); r != nil && len(r.Items) > 0 {
		p.unsupported(o, r.Pos, "write it under quality in pipeline.yaml instead", "relationships of a contract are not checked")
	}
	p.c.Objects = append(p.c.Objects, o)
}

// nameOf is the physical name, else the name.
func (p *parser) nameOf(f document.Fields) string {
	name := p.optional(f, "name")
	if s := p.optional(f, "physicalName"); s != "" {
		return s
	}
	return name
}

// property reads a column, and its position in the primary key.
func (p *parser) property(o *Object, n *document.Node) (Column, int64) {
	f := p.Fields(n, "a property", propertyKeys...)
	f.Require("name")
	c := Column{Name: p.nameOf(f), Description: p.optional(f, "description"), Unique: f.Bool("unique", false), Pos: n.Pos}
	c.PrimaryKey = f.Bool("primaryKey", false)
	c.Required = f.Bool("required", false) || c.PrimaryKey
	p.unread(f, document.String, "id", "businessName", "classification", "encryptedName", "transformLogic", "transformDescription")
	p.unread(f, document.List, "tags", "authoritativeDefinitions", "customProperties", "relationships", "transformSourceObjects", "examples")
	p.unread(f, document.Bool, "criticalDataElement")
	f.Int("partitionKeyPosition")
	position := int64(-1)
	if v := f.Int("primaryKeyPosition"); v != nil {
		position = *v
	}
	if c.Name == "" && f.Has("name") {
		p.Add(f.Pos("name"), "", "a property needs a name")
	}
	c.Type = p.columnType(o, f)
	for _, item := range p.list(f, "quality") {
		p.quality(o, &c, item)
	}
	if r := f.Node("relationships"); r != nil && len(r.Items) > 0 {
		p.unsupported(o, r.Pos, "write it under quality in pipeline.yaml instead", "relationships of a contract are not checked")
	}
	if f.Bool("partitioned", false) {
		p.unsupported(o, f.Pos("partitioned"), "leave it out", "partitioned tables are not supported")
	}
	return c, position
}

// unsupported notes a promise that lakestep cannot check.
func (p *parser) unsupported(o *Object, pos document.Position, hint, message string) {
	o.Unsupported = append(o.Unsupported, document.Problem{File: pos.File, Line: pos.Line, Column: pos.Column, Message: strings.TrimSpace(message), Hint: hint})
}
