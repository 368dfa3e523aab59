package bronze

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/pipeline"
)

// fitted is how the columns of a part become those of the table under the stream's schema contract.
type fitted struct {
	values map[string]string // by column of the table: an expression over the row r
	refuse []refusal
	row    string // the row as it came, as JSON
}

// refusal is a condition under which a row is not taken, and why.
type refusal struct{ when, why string }

func (f fitted) refused() string {
	when := make([]string, len(f.refuse))
	for i, r := range f.refuse {
		when[i] = "(" + r.when + ")"
	}
	return strings.Join(when, " OR ")
}

// fit holds a part's columns against the table's, and lets the table's schema grow by what the contract allows.
func (l *loader) fit(ctx context.Context, rows string, columns []engine.RawColumn) (fitted, error) {
	fit := fitted{values: map[string]string{}}
	begun := l.table.Exists() || len(l.declare.Columns) > 0
	var added []delta.Field
	var whole []string
	for _, c := range columns {
		whole = append(whole, engine.Ident(c.Name)+" := "+c.Expr)
		old, ok := l.column(c.Name)
		var err error
		switch {
		case !ok && begun && !strings.HasPrefix(c.Name, "_"):
			added, err = l.newColumn(ctx, rows, c, &fit, added)
		case !ok:
			fit.values[c.Name] = c.Expr
			added = append(added, delta.Field{Name: c.Name, Type: c.Type, Nullable: true})
		case lossless(c.Type, old.Type):
			fit.values[old.Name], err = cast(c, old.Type)
		default:
			added, err = l.otherType(ctx, rows, c, old, &fit, added)
		}
		if err != nil {
			return fit, err
		}
	}
	fit.row = "CAST(to_json(struct_pack(" + strings.Join(whole, ", ") + ")) AS VARCHAR)"
	return fit, l.grow(added)
}

// column finds a column of the table: names of a Delta table may not differ in case only.
func (l *loader) column(name string) (delta.Field, bool) {
	for _, f := range l.schema.Fields {
		if strings.EqualFold(f.Name, name) {
			return f, true
		}
	}
	return delta.Field{}, false
}

// newColumn is a column that the table lacks.
func (l *loader) newColumn(ctx context.Context, rows string, c engine.RawColumn, fit *fitted, added []delta.Field) ([]delta.Field, error) {
	there := c.Expr + " IS NOT NULL"
	switch l.stream.Contract.Columns {
	case pipeline.Freeze:
		n, err := l.occurs(ctx, rows, there)
		if err != nil || n == 0 {
			return added, err
		}
		return added, l.broken("%d rows have a column %s, which the table lacks", n, c.Name)
	case pipeline.DiscardRow:
		fit.refuse = append(fit.refuse, refusal{there, fmt.Sprintf("schema_contract: the table has no column %s", c.Name)})
		return added, nil
	case pipeline.DiscardValue:
		return added, nil
	}
	fit.values[c.Name] = c.Expr
	return append(added, delta.Field{Name: c.Name, Type: c.Type, Nullable: true}), nil
}

// otherType is a column whose type the table's column does not hold altogether. Values that survive the way there and back are taken; the
// contract says what becomes of the others.
func (l *loader) otherType(ctx context.Context, rows string, c engine.RawColumn, old delta.Field, fit *fitted, added []delta.Field) ([]delta.Field, error) {
	to, err := engine.DuckType(old.Type)
	if err != nil {
		return added, err
	}
	from, err := engine.DuckType(c.Type)
	if err != nil {
		return added, err
	}
	fits := fmt.Sprintf("coalesce(TRY_CAST(TRY_CAST(%[1]s AS %[2]s) AS %[3]s) = %[1]s, false)", c.Expr, to, from)
	not := fmt.Sprintf("%s IS NOT NULL AND NOT %s", c.Expr, fits)
	fit.values[old.Name] = fmt.Sprintf("CASE WHEN %s THEN TRY_CAST(%s AS %s) END", fits, c.Expr, to)
	n, err := l.occurs(ctx, rows, not)
	if err != nil || n == 0 {
		return added, err
	}
	switch l.stream.Contract.DataType {
	case pipeline.Freeze:
		return added, l.broken("%d values of column %s are %s and do not fit its type %s", n, old.Name, c.Type, old.Type)
	case pipeline.DiscardRow:
		fit.refuse = append(fit.refuse, refusal{not, fmt.Sprintf("schema_contract: the value of %s is %s and does not fit its type %s", old.Name, c.Type, old.Type)})
		return added, nil
	case pipeline.DiscardValue:
		return added, nil
	}
	variant := engine.RawColumn{Name: variantName(old.Name, c.Type), Type: c.Type, Expr: fmt.Sprintf("CASE WHEN %s THEN %s END", not, c.Expr)}
	if _, there := l.column(variant.Name); !there {
		added = append(added, delta.Field{Name: variant.Name, Type: c.Type, Nullable: true})
	}
	fit.values[variant.Name] = variant.Expr
	return added, nil
}

// variantName is the column for a column's values of another type: dlt's form.
func variantName(column string, t delta.Type) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune("(,<>", r) {
			return '_'
		}
		return r
	}, strings.NewReplacer(")", "", ">", "", "string", "text").Replace(t.String()))
	return column + "__v_" + name
}

func (l *loader) occurs(ctx context.Context, rows, condition string) (n int64, err error) {
	err = l.session.Row(ctx, fmt.Sprintf("SELECT count(*) FROM %s r WHERE %s", rows, condition), &n)
	return n, err
}

func (l *loader) broken(format string, args ...any) error {
	return fault.New(fault.SchemaBroken, "load", l.in.Table, format, args...).
		WithHint("the schema_contract of stream %s is freeze: change the source back, or take the change in with evolve, discard_row or discard_value (%s)", l.declare.Stream, l.stream.Pos)
}

// discard puts the rows that the contract refuses with the rejected ones, and counts them.
func (l *loader) discard(ctx context.Context, rows, items string, fit fitted) (n int64, err error) {
	if len(fit.refuse) == 0 {
		return 0, nil
	}
	why := "CASE"
	for _, r := range fit.refuse {
		why += fmt.Sprintf(" WHEN %s THEN %s", r.when, engine.Literal(r.why))
	}
	condition := fit.refused()
	err = l.session.Exec(ctx, fmt.Sprintf("INSERT INTO %s SELECT i.key, NULL, %s, %s END, i.batch FROM %s r JOIN %s i ON r._path = i.path WHERE %s",
		rejected, fit.row, why, rows, items, condition))
	if err != nil {
		return 0, err
	}
	return l.occurs(ctx, rows, condition)
}

// cast gives a column the table's type, of which it is a part.
func cast(c engine.RawColumn, to delta.Type) (string, error) {
	if c.Type.String() == to.String() {
		return c.Expr, nil
	}
	typ, err := engine.DuckType(to)
	return fmt.Sprintf("CAST(%s AS %s)", c.Expr, typ), err
}

var integers = []delta.Primitive{delta.Byte, delta.Short, delta.Integer, delta.Long}

// digits of the greatest value of each of the integers.
var digits = []int{3, 5, 10, 19}

// lossless tells whether every value of one type is one of another.
func lossless(from, to delta.Type) bool {
	if from.String() == to.String() || to == delta.Type(delta.String) {
		return true
	}
	a, ok := from.(delta.Primitive)
	b, also := to.(delta.Primitive)
	if !ok || !also {
		return false
	}
	i, j := slices.Index(integers, a), slices.Index(integers, b)
	p, s, isDecimal := b.DecimalParts()
	switch {
	case i >= 0 && j >= 0:
		return i <= j
	case i >= 0 && isDecimal:
		return p-s >= digits[i]
	case a == delta.Float:
		return b == delta.Double
	case i >= 0 && i <= 2:
		return b == delta.Double
	}
	if q, r, ok := a.DecimalParts(); ok && isDecimal {
		return s >= r && p-s >= q-r
	}
	return false
}
