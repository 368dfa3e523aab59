package lake

import (
	"encoding/json"
	"maps"

	"github.com/lakestep/lakestep/shared/catalog"
	"github.com/lakestep/lakestep/shared/contract"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/pipeline"
)

// Published are the full names of the tables that a catalog shows: those that a gate stands before. Raw and refused rows have none.
func Published(p *pipeline.Pipeline) []string {
	var names []string
	for _, t := range p.Tables {
		if t.Layer != pipeline.Bronze {
			names = append(names, t.FullName())
		}
	}
	return names
}

// Entry is what a catalog shows of the table as it is now. What people are told comes from the contract, else from the pipeline.
func (t *Table) Entry(p *pipeline.Pipeline) (catalog.Table, error) {
	declared, ok := p.Table(t.Name)
	if !ok {
		return catalog.Table{}, fault.New(fault.InvalidInput, "register", t.Name, "pipeline %s has no such table", p.Name)
	}
	if t.lake.URL == "" {
		return catalog.Table{}, fault.New(fault.InvalidInput, "register", t.Name, "its lake has no URL").WithHint("a catalog shows lakes in object storage")
	}
	meta := t.Snap.Metadata()
	e := catalog.Table{
		Name: t.Name, Pipeline: p.Name, Lake: t.lake.URL, Location: t.lake.URL + "/" + Prefix(t.Name),
		ID: meta.ID, Version: t.Snap.Version(), Description: declared.Description, Schema: t.Snap.Schema(), Partitions: meta.PartitionColumns,
	}
	if t.Decision != nil {
		e.Run = t.Decision.Run
	}
	c := declared.Contract
	if c == nil {
		return e, nil
	}
	if c.Description != "" {
		e.Description = c.Description
	}
	e.Schema = described(e.Schema, c)
	return e, nil
}

// described gives the columns the comments that the contract has for them.
func described(s delta.Schema, c *contract.Object) delta.Schema {
	out := delta.Schema{Fields: make([]delta.Field, len(s.Fields))}
	for i, f := range s.Fields {
		if column, ok := c.Column(f.Name); ok && column.Description != "" {
			text, err := json.Marshal(column.Description)
			if err != nil {
				panic(err) // a string
			}
			metadata := maps.Clone(f.Metadata)
			if metadata == nil {
				metadata = map[string]json.RawMessage{}
			}
			metadata["comment"] = text
			f.Metadata = metadata
		}
		out.Fields[i] = f
	}
	return out
}
