package bronze

import (
	"context"
	"fmt"
	"strings"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

// unknown leaves the rows out of a query that the table has already: a page that begins before the position brings them again. Rows are told
// apart by the digest of all that the source says of them; one that stands n times in the table is left out n times, so that what the source
// really has twice stays twice.
func (l *loader) unknown(ctx context.Context, query string, o connector.Overlap) (rest string, known int64, err error) {
	page, have := "_page", "_have"
	if err := l.session.Exec(ctx, "CREATE OR REPLACE TEMP TABLE "+page+" AS "+query); err != nil {
		return "", 0, err
	}
	scan := l.table.Live(l.table.Snap)
	scan.Schema = l.schema
	relation, err := l.session.Relation(ctx, scan)
	if err != nil {
		return "", 0, err
	}
	from, err := l.from(o)
	if err != nil {
		return "", 0, err
	}
	numbered := "SELECT *, row_number() OVER (PARTITION BY _digest) AS _n FROM (SELECT %s, %s AS _digest FROM %s WHERE %s)"
	if err := l.session.Exec(ctx, fmt.Sprintf("CREATE OR REPLACE TEMP TABLE "+have+" AS SELECT _digest, _n FROM ("+numbered+")", "1", l.digest(), relation, from)); err != nil {
		return "", 0, err
	}
	rest = fmt.Sprintf("SELECT * EXCLUDE (_digest, _n) FROM ("+numbered+") ANTI JOIN %s USING (_digest, _n)", "*", l.digest(), page, "true", have)
	var all, left int64
	if err := l.session.Row(ctx, "SELECT count(*) FROM "+page, &all); err != nil {
		return "", 0, err
	}
	err = l.session.Row(ctx, "SELECT count(*) FROM ("+rest+")", &left)
	return rest, all - left, err
}

// from is the condition on rows of the table that the page may bring again.
func (l *loader) from(o connector.Overlap) (string, error) {
	if o.From == "" {
		return "true", nil
	}
	f, ok := l.column(o.Column)
	if !ok {
		return "", fault.New(fault.Internal, "load", l.in.Table, "no column %s to compare by", o.Column)
	}
	typ, err := engine.DuckType(f.Type)
	return fmt.Sprintf("%s >= CAST(%s AS %s)", engine.Ident(f.Name), engine.Literal(o.From), typ), err
}

// digest is of the source's columns that have a value, each with its name and length: a column that is added later changes no digest.
func (l *loader) digest() string {
	var parts []string
	for _, f := range l.schema.Fields {
		if isOwn(f.Name) {
			continue
		}
		text := fmt.Sprintf("CAST(%s AS VARCHAR)", engine.Ident(f.Name))
		parts = append(parts, fmt.Sprintf("coalesce(%s || length(%s) || ':' || %s, '')", engine.Literal(f.Name+"="), text, text))
	}
	return "md5(concat(" + strings.Join(parts, ", ") + "))"
}
