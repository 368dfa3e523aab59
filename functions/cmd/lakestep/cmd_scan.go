package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/document"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

func scanCommand(g *globals, io func() streams, dir *string) *cobra.Command {
	var at atFlags
	var limit rowLimit
	var want scanned
	c := &cobra.Command{
		Use: "scan TABLE|PATH", Short: "The rows of a table, or, with --explain, what reading them takes", Args: cobra.ExactArgs(1),
		Long: `The rows of a table: one of the pipeline's, or any Delta table by its folder. Only files, columns and row groups that can hold wanted rows
are read; --explain tells which, and reads no rows.`,
		Example: `  lakestep table scan silver.cleaned_orders --where "order_date >= '2026-01-01'" --columns order_id,quantity
  lakestep table scan lake/retail/silver/cleaned_orders --version 3 -o csv
  lakestep table scan silver.cleaned_orders --where "order_id = 17" --explain`,
		RunE: func(c *cobra.Command, args []string) error {
			s := io()
			asOf, err := at.asOf()
			if err != nil {
				return err
			}
			rows, err := limit.of(s)
			if err != nil {
				return err
			}
			t, err := g.target(c.Context(), *dir, args[0])
			if err != nil {
				return err
			}
			return want.run(c.Context(), s, t, asOf, rows)
		},
	}
	at.add(c)
	limit.add(c)
	c.Flags().StringVar(&want.where, "where", "", "condition on the rows, in SQL")
	c.Flags().StringSliceVar(&want.columns, "columns", nil, "columns, separated by commas (all)")
	c.Flags().BoolVar(&want.explain, "explain", false, "tell which files, row groups and bytes would be read, and why not the others")
	return c
}

// scanned is what is wanted of a table.
type scanned struct {
	where   string
	columns []string
	explain bool
}

func (w scanned) run(ctx context.Context, s streams, t target, at delta.AsOf, limit int) error {
	if w.explain && s.format != "text" && s.format != "json" {
		return fault.New(fault.InvalidInput, "read", "--output "+s.format, "--explain gives text or json")
	}
	snap, err := t.Delta.Snapshot(ctx, at)
	if err != nil {
		return err
	}
	session, done, err := t.session(ctx)
	if err != nil {
		return err
	}
	defer done()
	sc := engine.NewScan(t.Store, t.Delta, snap, nil)
	shown, err := chosen(snap.Schema(), w.columns)
	if err != nil {
		return err
	}
	predicate := delta.Predicate{Op: delta.OpTrue}
	if w.where != "" {
		if err := checkWhere(ctx, session, sc, w.where); err != nil {
			return err
		}
		if predicate, err = session.ParsePredicate(ctx, w.where, snap.Schema()); err != nil {
			return err
		}
		sc.Keep = snap.MayMatch(predicate)
	}
	if sc.Schema, err = w.read(ctx, session, snap.Schema(), shown); err != nil {
		return err
	}
	pruned := snap.Prune(predicate)
	sc.Files = engine.Files(pruned.Files)
	if w.explain {
		costs, err := session.Explain(ctx, sc)
		if err != nil {
			return err
		}
		return showCosts(s, t.Name, snap, predicate, pruned, sc, costs)
	}
	relation, err := session.Relation(ctx, sc)
	if err != nil {
		return err
	}
	names := make([]string, len(shown.Fields))
	for i, f := range shown.Fields {
		names[i] = f.Name
	}
	query := "SELECT " + engine.Idents(names) + " FROM " + relation
	if w.where != "" {
		query += " WHERE (\n" + w.where + "\n)"
	}
	return writeRows(ctx, s, session, shown, query, limit)
}

// read is the schema of what is shown and of what the condition looks at.
func (w scanned) read(ctx context.Context, session *engine.Session, all, shown delta.Schema) (delta.Schema, error) {
	looked := []string(nil)
	if w.where != "" {
		var err error
		if looked, err = session.Mentioned(ctx, w.where, all); err != nil {
			return all, err
		}
	}
	var out delta.Schema
	for _, f := range all.Fields {
		_, show := shown.Field(f.Name)
		if show || slices.Contains(looked, f.Name) {
			out.Fields = append(out.Fields, f)
		}
	}
	return out, nil
}

// chosen gives the columns of those names, in that order; all for none.
func chosen(schema delta.Schema, names []string) (delta.Schema, error) {
	if len(names) == 0 {
		return schema, nil
	}
	var out delta.Schema
	for _, name := range names {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(schema.Fields, func(f delta.Field) bool { return strings.EqualFold(f.Name, name) })
		if i < 0 {
			var there []string
			for _, f := range schema.Fields {
				there = append(there, f.Name)
			}
			hint := document.DidYouMean(name, there)
			if hint == "" {
				hint = "columns: " + strings.Join(there, ", ")
			}
			return out, fault.New(fault.InvalidInput, "read", "--columns "+name, "the table has no such column").WithHint("%s", hint)
		}
		if _, twice := out.Field(schema.Fields[i].Name); twice {
			return out, fault.New(fault.InvalidInput, "read", "--columns "+name, "it is named twice")
		}
		out.Fields = append(out.Fields, schema.Fields[i])
	}
	return out, nil
}

// costs is what --explain tells.
type costs struct {
	Table     string     `json:"table"`
	Version   int64      `json:"version"`
	Predicate string     `json:"predicate"`
	Columns   []string   `json:"columns_read"`
	Files     costFiles  `json:"files"`
	RowGroups costPart   `json:"row_groups"` // of the files that are read
	Bytes     costPart   `json:"bytes"`      // total: of the table
	Read      []costFile `json:"read"`
}

type costFiles struct {
	Total       int `json:"total"`
	ByPartition int `json:"skipped_by_partition"`
	ByStats     int `json:"skipped_by_statistics"`
	Read        int `json:"read"`
}

type costPart struct {
	Total int64 `json:"total"`
	Read  int64 `json:"read"`
}

type costFile struct {
	Path      string   `json:"path"`
	Rows      int64    `json:"rows"`
	Deleted   int64    `json:"deleted"`
	RowGroups costPart `json:"row_groups"`
	Bytes     costPart `json:"bytes"`
}

func showCosts(s streams, name string, snap *delta.Snapshot, predicate delta.Predicate, pruned delta.Pruned, sc engine.Scan, files []engine.FileCost) error {
	c := costs{
		Table: name, Version: snap.Version(), Predicate: predicate.String(), Columns: []string{}, Read: []costFile{},
		Files: costFiles{snap.NumFiles(), pruned.ByPartition, pruned.ByStats, len(files)}, Bytes: costPart{Total: snap.Size()},
	}
	for _, f := range sc.Schema.Fields {
		c.Columns = append(c.Columns, f.Name)
	}
	for _, f := range files {
		c.Read = append(c.Read, costFile{f.Path, f.Rows, f.Deleted, costPart{int64(f.RowGroups), int64(f.RowGroupsRead)}, costPart{f.Size, f.BytesRead}})
		c.RowGroups.Total += int64(f.RowGroups)
		c.RowGroups.Read += int64(f.RowGroupsRead)
		c.Bytes.Read += f.BytesRead
	}
	if s.json {
		return printJSON(s, c)
	}
	fmt.Fprintf(s.out, "%s, version %d\n", c.Table, c.Version)
	fmt.Fprintf(s.out, "Files are chosen by   %s\n", c.Predicate)
	fmt.Fprintf(s.out, "Columns read          %s\n\n", strings.Join(c.Columns, ", "))
	if len(files) > 0 {
		w := newTable(s, "file", ">rows", ">deleted", ">row groups", ">bytes read")
		for _, f := range c.Read {
			w.AppendRow(table.Row{shorten(f.Path), count(f.Rows), blankZero(f.Deleted), of(f.RowGroups, count), of(f.Bytes, size)})
		}
		w.Render()
		fmt.Fprintln(s.out)
	}
	fmt.Fprintf(s.out, "Files       %s of %s (%s skipped by partition values, %s by statistics)\n",
		count(int64(c.Files.Read)), count(int64(c.Files.Total)), count(int64(c.Files.ByPartition)), count(int64(c.Files.ByStats)))
	fmt.Fprintf(s.out, "Row groups  %s in these files\n", of(c.RowGroups, count))
	fmt.Fprintf(s.out, "Bytes       %s in the table, beside footers\n", of(c.Bytes, size))
	return nil
}

func of(p costPart, write func(int64) string) string { return write(p.Read) + " of " + write(p.Total) }
