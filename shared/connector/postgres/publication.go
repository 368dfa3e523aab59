package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/lakestep/lakestep/shared/fault"
)

// publication is what the server lets through to a stream.
type publication struct {
	oid     uint32
	columns []string // in the stream of changes; nil: all that are not generated
	filter  string   // a condition on rows; "": all
	missing []string // operations that are not published
}

// wholeIdentity refuses tables whose changes would not tell which row they are of. That is checked before anything is published: from then on the
// server refuses the application's own updates and deletes of such a table.
func (t *table) wholeIdentity(st stream) error {
	if t.kind != "r" && t.kind != "p" {
		return fault.New(fault.InvalidInput, "read changes of", t.String(), "it is no table").WithHint("read it with mode full or watermark (%s)", st.at)
	}
	if len(t.without) > 0 {
		return fault.New(fault.InvalidInput, "read changes of", t.String(), "updates and deletes would not tell which row they are of: there is neither a primary key nor another replica identity").
			WithHint("ALTER TABLE %s REPLICA IDENTITY FULL; or, with a unique index over columns that are NOT NULL, REPLICA IDENTITY USING INDEX", strings.Join(t.without[:min(3, len(t.without))], " and "))
	}
	for _, k := range st.key {
		if _, ok := t.column(k); !ok {
			return fault.New(fault.InvalidInput, "read changes of", t.String(), "it has no column %s, which is named as primary_key", k).WithHint("see %s", st.at)
		}
		if !t.full && !slices.Contains(t.identity, k) {
			return fault.New(fault.InvalidInput, "read changes of", t.String(), "deletes tell %s only, and not the primary_key %s", strings.Join(t.identity, ", "), k).
				WithHint("ALTER TABLE %s REPLICA IDENTITY FULL, or leave primary_key out (%s)", name(t.schema, t.name), st.at)
		}
	}
	for _, k := range t.key(st) {
		if st.columns != nil && !slices.Contains(st.columns, k) {
			return fault.New(fault.InvalidInput, "read changes of", t.String(), "the key %s is not among the columns", k).WithHint("add it (%s)", st.at)
		}
	}
	return nil
}

// key are the columns by which changes tell rows apart; none if only the whole row does.
func (t *table) key(st stream) []string {
	if st.key != nil {
		return st.key
	}
	return t.identity
}

// published reads what the stream's publication lets through; nil if there is none.
func (s *source) published(ctx context.Context, c *conn, st stream, t *table) (*publication, error) {
	var p publication
	var insert, update, deletes, truncate, viaRoot bool
	err := c.QueryRow(ctx, `SELECT oid, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot FROM pg_publication WHERE pubname = $1`, st.publication).
		Scan(&p.oid, &insert, &update, &deletes, &truncate, &viaRoot)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, failed("read publication", st.publication, err)
	}
	for what, is := range map[string]bool{"insert": insert, "update": update, "delete": deletes, "truncate": truncate} {
		if !is {
			p.missing = append(p.missing, what)
		}
	}
	slices.Sort(p.missing)
	if t.kind == "p" && !viaRoot {
		return nil, fault.New(fault.InvalidInput, "read changes of", t.String(), "publication %s names the partitions, not the table", st.publication).
			WithHint("ALTER PUBLICATION %s SET (publish_via_partition_root = true)", name(st.publication))
	}
	err = c.QueryRow(ctx, `SELECT coalesce(array(SELECT jsonb_array_elements_text(coalesce(nullif(to_jsonb(p)->'attnames', 'null'), '[]'))), '{}'), coalesce(to_jsonb(p)->>'rowfilter', '')
		FROM pg_publication_tables p WHERE pubname = $1 AND schemaname = $2 AND tablename = $3`, st.publication, st.schema, st.table).Scan(&p.columns, &p.filter)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fault.New(fault.InvalidInput, "read changes of", t.String(), "publication %s does not have the table", st.publication).
			WithHint("ALTER PUBLICATION %s ADD TABLE %s; what changed while it was not there is not known: begin anew with lakestep run --full-refresh (docs/sources-postgres.md)", name(st.publication), name(t.schema, t.name))
	}
	if err != nil {
		return nil, failed("read publication", st.publication, err)
	}
	p.columns = slices.DeleteFunc(p.columns, func(n string) bool { c2, ok := t.column(n); return ok && c2.generated && c.version < 180000 })
	if len(p.columns) == 0 { // the server does not tell: all of them
		for _, col := range t.columns {
			if !col.generated {
				p.columns = append(p.columns, col.name)
			}
		}
	}
	return &p, p.hasKey(st, t)
}

// hasKey refuses a publication that leaves out what rows are told apart by.
func (p *publication) hasKey(st stream, t *table) error {
	for _, k := range t.key(st) {
		if !slices.Contains(p.columns, k) {
			return fault.New(fault.InvalidInput, "read changes of", t.String(), "publication %s leaves out the key column %s", st.publication, k).
				WithHint("ALTER PUBLICATION %s SET TABLE %s, with all columns or with the key among them", name(st.publication), name(t.schema, t.name))
		}
	}
	return nil
}

// publish makes the stream's publication if there is none.
func (s *source) publish(ctx context.Context, c *conn, st stream) error {
	ctx, cancel := question(ctx)
	defer cancel()
	t, err := s.describe(ctx, c, st)
	if err != nil {
		return err
	}
	if err := t.wholeIdentity(st); err != nil {
		return err
	}
	p, err := s.published(ctx, c, st, t)
	if p != nil || err != nil {
		return err
	}
	_, err = c.Exec(ctx, createPublication(st, t))
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && (pg.Code == "42710" || pg.Code == "23505"): // duplicate_object, unique_violation: another one was faster
		return nil
	case errors.As(err, &pg) && pg.Code == "42501":
		return fault.New(fault.InvalidInput, "create publication", st.publication, "%s (%s)", pg.Message, pg.Code).
			WithHint("have the owner of %s, who needs CREATE on the database, run: %s", t, createPublication(st, t))
	}
	return failed("create publication", st.publication, err)
}

func createPublication(st stream, t *table) string {
	return fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE %s WITH (publish_via_partition_root = true)", name(st.publication), t.from())
}
