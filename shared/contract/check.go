package contract

import "fmt"

// Field is a column of a table as it is. Type is the name of its Delta type.
type Field struct{ Name, Type string }

// Difference is how a table differs from its contract in one column. Want is "" for a column that the contract does not
// know, Got for one that the table does not have.
type Difference struct{ Column, Want, Got string }

// String says it in words.
func (d Difference) String() string {
	switch {
	case d.Got == "":
		return fmt.Sprintf("column %s (%s) is missing", d.Column, d.Want)
	case d.Want == "":
		return fmt.Sprintf("column %s (%s) is not in the contract", d.Column, d.Got)
	}
	return fmt.Sprintf("column %s is %s, not %s", d.Column, d.Got, d.Want)
}

// Check compares a table's columns with the contract, by name and in any order. No differences: the table keeps it.
func (o *Object) Check(schema []Field) []Difference {
	var out []Difference
	got := map[string]string{}
	for _, f := range schema {
		got[f.Name] = f.Type
	}
	for _, c := range o.Columns {
		if t, ok := got[c.Name]; !ok || (c.Type != "" && t != c.Type) {
			out = append(out, Difference{Column: c.Name, Want: c.Type, Got: t})
		}
	}
	for _, f := range schema {
		if _, ok := o.Column(f.Name); !ok {
			out = append(out, Difference{Column: f.Name, Got: f.Type})
		}
	}
	return out
}
