package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

func changesCommand(g *globals, io func() streams, dir *string) *cobra.Command {
	from, to := int64(-1), int64(-1)
	var limit rowLimit
	c := &cobra.Command{
		Use: "changes TABLE|PATH", Short: "The rows that changed between versions: the change data feed", Args: cobra.ExactArgs(1),
		Long: `The rows that changed in a range of versions, both ends included: the columns of the table, then _change_type (insert, update_preimage,
update_postimage or delete), _commit_version and _commit_timestamp. The table must have had delta.enableChangeDataFeed=true at each of them.`,
		Example: `  lakestep table changes silver.cleaned_orders --from 1
  lakestep table changes lake/retail/silver/cleaned_orders --from 3 --to 5 -o csv`,
		RunE: func(c *cobra.Command, args []string) error {
			s := io()
			rows, err := limit.of(s)
			if err != nil {
				return err
			}
			if to < 0 && c.Flags().Changed("to") {
				return fault.New(fault.InvalidInput, "read", "--to", "versions count from 0")
			}
			t, err := g.target(c.Context(), *dir, args[0])
			if err != nil {
				return err
			}
			return printChanges(c.Context(), s, t, from, to, rows)
		},
	}
	c.Flags().Int64Var(&from, "from", -1, "first version")
	c.Flags().Int64Var(&to, "to", -1, "last version (the newest)")
	_ = c.MarkFlagRequired("from") // the flag is there
	limit.add(c)
	return c
}

func printChanges(ctx context.Context, s streams, t target, from, to int64, limit int) error {
	session, done, err := t.session(ctx)
	if err != nil {
		return err
	}
	defer done()
	var at delta.AsOf
	if to >= 0 {
		at.Version = &to
	}
	snap, err := t.Delta.Snapshot(ctx, at) // once: what is described is what is read
	if err != nil {
		return err
	}
	table := dml.Table{Delta: t.Delta, Store: t.Store, Session: session}
	relation, err := table.Changes(ctx, from, snap.Version())
	if err != nil {
		return err
	}
	schema := delta.Schema{Fields: slices.Concat(snap.Schema().Fields, []delta.Field{
		{Name: dml.ChangeType, Type: delta.String}, {Name: dml.CommitVersion, Type: delta.Long}, {Name: dml.CommitTimestamp, Type: delta.Timestamp}})}
	query := "FROM " + relation
	if s.format == "text" {
		query += " ORDER BY " + engine.Ident(dml.CommitVersion) // for people; other outputs come in any order
	}
	return writeRows(ctx, s, session, schema, query, limit)
}
