package delta

// SchemaDiff is what changed from one schema to another, by dotted column paths. Columns inside structs are
// compared one by one, arrays and maps as a whole.
type SchemaDiff struct {
	Added   []Column
	Dropped []Column
	Changed []TypeChange
}

// Column is a column by its dotted path.
type Column struct {
	Path string
	Type Type
}

// TypeChange is a column whose type, or whose being nullable, differs.
type TypeChange struct {
	Path               string
	From, To           Type
	WasNullable, IsNow bool // nullable before and after
}

// Empty tells whether nothing changed.
func (d SchemaDiff) Empty() bool { return len(d.Added)+len(d.Dropped)+len(d.Changed) == 0 }

// DiffSchemas compares two schemas. Field metadata and the order of columns do not count.
func DiffSchemas(from, to Schema) SchemaDiff {
	var d SchemaDiff
	d.compare("", from, to)
	return d
}

func (d *SchemaDiff) compare(prefix string, from, to StructType) {
	for _, old := range from.Fields {
		path := prefix + old.Name
		now, ok := to.Field(old.Name)
		if !ok {
			d.Dropped = append(d.Dropped, Column{path, old.Type})
			continue
		}
		oldStruct, a := old.Type.(StructType)
		newStruct, b := now.Type.(StructType)
		nested := a && b
		if nested {
			d.compare(path+".", oldStruct, newStruct)
		}
		if old.Nullable != now.Nullable || (!nested && !sameType(old.Type, now.Type)) {
			d.Changed = append(d.Changed, TypeChange{path, old.Type, now.Type, old.Nullable, now.Nullable})
		}
	}
	for _, now := range to.Fields {
		if _, ok := from.Field(now.Name); !ok {
			d.Added = append(d.Added, Column{prefix + now.Name, now.Type})
		}
	}
}

// sameType compares two types without field metadata.
func sameType(a, b Type) bool {
	switch a := a.(type) {
	case Primitive:
		p, ok := b.(Primitive)
		if !ok {
			return false
		}
		ap, as, aok := a.DecimalParts()
		bp, bs, bok := p.DecimalParts()
		if aok && bok {
			return ap == bp && as == bs
		}
		return a == p
	case ArrayType:
		o, ok := b.(ArrayType)
		return ok && a.ContainsNull == o.ContainsNull && sameType(a.Element, o.Element)
	case MapType:
		o, ok := b.(MapType)
		return ok && a.ValueContainsNull == o.ValueContainsNull && sameType(a.Key, o.Key) && sameType(a.Value, o.Value)
	case StructType:
		o, ok := b.(StructType)
		if !ok || len(a.Fields) != len(o.Fields) {
			return false
		}
		for i, f := range a.Fields {
			g := o.Fields[i]
			if f.Name != g.Name || f.Nullable != g.Nullable || !sameType(f.Type, g.Type) {
				return false
			}
		}
		return true
	}
	return false
}
