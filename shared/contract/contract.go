// Package contract reads data contracts: what a gold table promises its readers, written in the Open Data Contract
// Standard (ODCS) 3.x, https://bitol-io.github.io/open-data-contract-standard/v3.1.0/.
//
// A contract says which columns a table has, of which type, which of them are never null or unique, and which
// quality checks hold. All of it that is a promise about data is either given to the caller in a neutral form
// (Column, Quality) or listed in Object.Unsupported: nothing is ignored silently. Keys that inform people only
// (description, team, price, ...) are accepted and, but for descriptions, not kept.
package contract

import (
	"github.com/lakestep/lakestep/shared/document"
)

// Contract is one ODCS document.
type Contract struct {
	File        string
	APIVersion  string // of the standard: "v3.1.0"
	ID          string
	Name        string
	Version     string
	Status      string
	Description string // its purpose
	Objects     []*Object
}

// Object is a table (an ODCS schema object). Name is its physicalName, else its name.
type Object struct {
	Contract    *Contract // that it is part of
	Name        string
	Description string
	Columns     []Column
	PrimaryKey  []string // by primaryKeyPosition, then in the order of the file
	Quality     []Quality
	Unsupported []document.Problem // promises that lakestep cannot check
	Pos         document.Position
}

// Column is a property of an Object. Type is the name of a Delta type ("long", "decimal(12,2)"), "" when the
// contract names none or one that lakestep does not have (which is in Unsupported).
type Column struct {
	Name        string
	Type        string
	Required    bool // never NULL; true for all columns of the primary key
	PrimaryKey  bool
	Unique      bool
	Description string
	Pos         document.Position
}

// Object gives the table of a name.
func (c *Contract) Object(name string) (*Object, bool) {
	for _, o := range c.Objects {
		if o.Name == name {
			return o, true
		}
	}
	return nil, false
}

// Column gives the column of a name.
func (o *Object) Column(name string) (Column, bool) {
	for _, c := range o.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return Column{}, false
}
