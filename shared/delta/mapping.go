package delta

import (
	"encoding/json"
	"fmt"
)

// Mapping says how columns are found in data files (protocol, "Column Mapping").
type Mapping string

// The ways: by the column's own name, by its physical name, by its field id.
const (
	MappingNone Mapping = "none"
	MappingName Mapping = "name"
	MappingID   Mapping = "id"
)

// Mapping of the table's columns. A property without the protocol's support means nothing.
func (s *Snapshot) Mapping() Mapping {
	mode := Mapping(s.metadata.Configuration[propMapping])
	if mode == "" || s.protocol.MinReaderVersion < 2 || !s.protocol.has(featColumnMapping) {
		return MappingNone
	}
	return mode
}

// PhysicalName is what a column is called in data files, partition values and statistics: its own name, unless
// the table maps columns.
func (s *Snapshot) PhysicalName(f Field) string { return s.Mapping().Name(f) }

// Name is what a field is called in data files.
func (m Mapping) Name(f Field) string {
	name := f.Name
	if m != MappingNone && m != "" {
		take(f.Metadata["delta.columnMapping.physicalName"], &name)
	}
	return name
}

// FieldID is the id under which data files hold a field; ok is false when the schema gives none.
func FieldID(f Field) (id int, ok bool) {
	text, ok := f.Metadata["delta.columnMapping.id"]
	return id, ok && json.Unmarshal(text, &id) == nil
}

// check refuses a schema that lacks what the mapping goes by.
func (m Mapping) check(s Schema) error {
	switch m {
	case MappingNone:
		return nil
	case MappingName, MappingID:
	default:
		return fmt.Errorf("column mapping mode %q is unknown", m)
	}
	var bad error
	walkFields(s, func(f Field) bool {
		var name string
		if take(f.Metadata["delta.columnMapping.physicalName"], &name); name == "" {
			bad = fmt.Errorf("column %q has no physical name (columnMapping)", f.Name)
		}
		if _, ok := FieldID(f); !ok && m == MappingID {
			bad = fmt.Errorf("column %q has no field id (columnMapping)", f.Name)
		}
		return bad == nil
	})
	return bad
}
