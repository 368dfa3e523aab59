package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/maintenance"
)

// exitDamaged is the code of a check that found damage.
const exitDamaged = 9

// maxShown is how many lines of a list a person gets to see; JSON has all.
const maxShown = 20

// maintained is the table as the operations of package maintenance want it, without an engine.
func (t target) maintained() *dml.Table {
	return &dml.Table{Delta: t.Delta, Store: t.Store, Attempt: compose.NewAttempt, Now: func() time.Time { return time.Now().UTC() }}
}

func optimizeCommand(g *globals, io func() streams, dir *string) *cobra.Command {
	var o maintenance.OptimizeOptions
	var targetMB, batchMB int64
	c := &cobra.Command{
		Use: "optimize TABLE|PATH", Short: "Pack small files, or bring rows together by columns (z-order)", Args: cobra.ExactArgs(1),
		Long: "Rewrite files so that fewer and better ones hold the same rows: small files of a partition are packed, files with deletion vectors are\n" +
			"written without the deleted rows. With --zorder rows that are near one another in the named columns come into the same files, so that\n" +
			"queries by any of them skip the others; what is ordered already is left alone until enough is new beside it.\n\n" +
			"Readers and writers go on meanwhile. Each batch is a commit: when it is interrupted, run it again, and it goes on.",
		Example: "  lakestep table optimize silver.cleaned_orders\n  lakestep table optimize /data/events --zorder customer_id,event_time --dry-run",
		RunE: func(c *cobra.Command, args []string) error {
			if targetMB < 1 || batchMB < 1 {
				return fault.New(fault.InvalidInput, "read", "--target, --batch", "they are at least 1 megabyte")
			}
			o.TargetBytes, o.BatchBytes = targetMB<<20, batchMB<<20
			return optimizeTable(c.Context(), g, io(), *dir, args[0], o)
		},
	}
	f := c.Flags()
	f.StringSliceVar(&o.ZOrder, "zorder", nil, "columns to order by, at most six")
	f.Int64Var(&targetMB, "target", 128, "megabytes of a file")
	f.Int64Var(&batchMB, "batch", 8192, "megabytes that one commit rewrites, and that are sorted at once")
	f.IntVar(&o.MaxBatches, "max-batches", 0, "stop after so many commits; 0: when all is done")
	f.BoolVar(&o.DryRun, "dry-run", false, "say what would be rewritten")
	return c
}

func optimizeTable(ctx context.Context, g *globals, s streams, dir, name string, o maintenance.OptimizeOptions) error {
	t, err := g.target(ctx, dir, name)
	if err != nil {
		return err
	}
	m := t.maintained()
	session, done, err := t.session(ctx)
	if err != nil {
		return err
	}
	defer done()
	m.Session = session
	o.Progress = func(out maintenance.Optimized) {
		if !s.json {
			fmt.Fprintf(s.err, "  version %d: %s (%s) are now %s (%s)\n", out.Version, some(int64(out.FilesRemoved), "file"), size(out.BytesRemoved), some(int64(out.FilesAdded), "file"), size(out.BytesAdded))
		}
	}
	out, err := maintenance.Optimize(ctx, m, o)
	if err != nil {
		return err
	}
	if s.json {
		return printJSON(s, out)
	}
	switch {
	case out.Batches == 0:
		fmt.Fprintf(s.out, "%s: nothing to do, version %d.\n", t.Name, out.Version)
	case o.DryRun:
		fmt.Fprintf(s.out, "%s: would rewrite %s (%s) in %s.\n", t.Name, some(int64(out.FilesRemoved), "file"), size(out.BytesRemoved), some(int64(out.Batches), "commit"))
	default:
		fmt.Fprintf(s.out, "%s: %s (%s) are now %s (%s), with %s; version %d.\n", t.Name, some(int64(out.FilesRemoved), "file"), size(out.BytesRemoved),
			some(int64(out.FilesAdded), "file"), size(out.BytesAdded), some(out.Rows, "row"), out.Version)
	}
	if out.More {
		fmt.Fprintln(s.out, "There is more to do: run it again.")
	}
	return nil
}

func vacuumCommand(g *globals, io func() streams, dir *string) *cobra.Command {
	var retention string
	var remove, dry bool
	var o maintenance.VacuumOptions
	c := &cobra.Command{
		Use: "vacuum TABLE|PATH", Short: "Delete files that no version within the retention needs", Args: cobra.ExactArgs(1),
		Long: "List the files in a table's folder that neither the table nor an older version within the retention needs, and with --delete delete them.\n" +
			"Without --delete nothing is changed. The retention is the table's own (delta.deletedFileRetentionDuration), a week at least. Files that a table\n" +
			"of the pipeline has not read yet are kept, however old.\n\n" +
			"Versions older than the retention can not be read or restored afterwards. A shallow clone of the table loses files that it still names.",
		Example: "  lakestep table vacuum silver.cleaned_orders\n  lakestep table vacuum silver.cleaned_orders --delete\n  lakestep table vacuum /data/events --retention 30d --delete",
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("retention") {
				d, err := parseRetention(retention)
				if err != nil {
					return err
				}
				o.Retention = &d
			}
			o.DryRun = dry || !remove
			return vacuumTable(c.Context(), g, io(), *dir, args[0], o)
		},
	}
	f := c.Flags()
	f.BoolVar(&remove, "delete", false, "delete what is listed")
	f.BoolVar(&dry, "dry-run", false, "list only, as without --delete")
	f.StringVar(&retention, "retention", "", "how long files that left the table are kept: 30d, 200h (default: what the table says, 7d at least)")
	f.BoolVar(&o.Short, "short-retention", false, "allow a --retention of less than 7d: only when nobody else reads or writes the table")
	c.MarkFlagsMutuallyExclusive("delete", "dry-run")
	return c
}

// parseRetention reads hours, minutes or days.
func parseRetention(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fault.New(fault.InvalidInput, "read", "--retention "+text, "it is no length of time").WithHint("for example 30d or 200h")
	}
	return d, nil
}

func vacuumTable(ctx context.Context, g *globals, s streams, dir, name string, o maintenance.VacuumOptions) error {
	t, err := g.target(ctx, dir, name)
	if err != nil {
		return err
	}
	if t.Lake != nil {
		if o.KeepFrom, err = t.Lake.Floor(ctx, t.Pipeline, name); err != nil {
			return err
		}
		if !o.DryRun {
			if err := t.Lake.Settle(ctx, t.Pipeline, name); err != nil {
				return err
			}
		}
	}
	out, err := maintenance.Vacuum(ctx, t.maintained(), o)
	if err != nil {
		return err
	}
	if s.json {
		return printJSON(s, out)
	}
	for i, f := range out.Files {
		if i == maxShown {
			fmt.Fprintf(s.out, "  ... and %d more\n", len(out.Files)-maxShown)
			break
		}
		fmt.Fprintf(s.out, "  %s  %9s  %s\n", f.Written.Format("2006-01-02 15:04"), size(f.Bytes), f.Path)
	}
	kept := ""
	if out.Consumers > 0 {
		kept = fmt.Sprintf(" %s kept for tables that have not read them.", some(int64(out.Consumers), "older file"))
	}
	if o.DryRun {
		fmt.Fprintf(s.out, "%s: %s, %s, could be deleted: not needed since %s.%s\n", t.Name, some(int64(len(out.Files)), "file"), size(out.Bytes), out.Before.Format("2006-01-02 15:04"), kept)
		if len(out.Files) > 0 {
			fmt.Fprintln(s.out, "Nothing was changed; say --delete to delete them.")
		}
		return nil
	}
	if out.Leftovers > 0 {
		kept += fmt.Sprintf(" %s of killed writers removed.", some(int64(out.Leftovers), "temporary file"))
	}
	fmt.Fprintf(s.out, "%s: deleted %s, %s.%s\n", t.Name, some(int64(len(out.Files)), "file"), size(out.Bytes), kept)
	return nil
}

func restoreCommand(g *globals, io func() streams, dir *string) *cobra.Command {
	var at atFlags
	var dry bool
	c := &cobra.Command{
		Use: "restore TABLE|PATH --version N", Short: "Go back to an older version, data and cursor together", Args: cobra.ExactArgs(1),
		Long: "Make a new version with the rows, schema and properties of an older one. Of a pipeline's table the cursor goes back, too: the next run reads its\n" +
			"inputs from there. Rows that were refused since leave the quarantine. Tables behind it stop, unless they are restored, too, to before they read it.\n\n" +
			"What the older version needs must not have been vacuumed. A restore can itself be undone by restoring the version before it.",
		Example: "  lakestep table history silver.cleaned_orders\n  lakestep table restore silver.cleaned_orders --version 12\n  lakestep table restore /data/events --timestamp 2026-07-01 --dry-run",
		RunE: func(c *cobra.Command, args []string) error {
			return restoreTable(c.Context(), g, io(), *dir, args[0], &at, dry)
		},
	}
	at.add(c)
	c.Flags().BoolVar(&dry, "dry-run", false, "say what would be done, and whether all files are there")
	return c
}

func restoreTable(ctx context.Context, g *globals, s streams, dir, name string, flags *atFlags, dry bool) error {
	at, err := flags.asOf()
	if err != nil {
		return err
	}
	if at.Version == nil && at.Timestamp == nil {
		return fault.New(fault.InvalidInput, "restore", compose.Displayed(name), "no version is named").WithHint("say --version N or --timestamp T; lakestep table history %s lists them", compose.Displayed(name))
	}
	t, err := g.target(ctx, dir, name)
	if err != nil {
		return err
	}
	var out maintenance.Restored
	if t.Lake != nil {
		quarantine := ""
		if declared, ok := t.Pipeline.Table(name); ok {
			quarantine = lake.QuarantineOf(declared)
		}
		out, err = t.Lake.Restore(ctx, name, quarantine, at, dry)
	} else {
		out, err = maintenance.Restore(ctx, t.maintained(), maintenance.RestoreOptions{To: at, DryRun: dry})
	}
	if err != nil {
		return err
	}
	if s.json {
		return printJSON(s, out)
	}
	what := fmt.Sprintf("%s back, %s out", some(int64(out.FilesAdded), "file"), some(int64(out.FilesRemoved), "file"))
	switch {
	case !out.Changed:
		fmt.Fprintf(s.out, "%s is as version %d was: nothing to do.\n", t.Name, out.To)
	case dry:
		fmt.Fprintf(s.out, "%s: version %d could be restored: %s.\n", t.Name, out.To, what)
	default:
		fmt.Fprintf(s.out, "%s: version %d is as version %d was: %s.\n", t.Name, out.Version, out.To, what)
		sayBehind(s, t, name)
	}
	return nil
}

// sayBehind names the tables that a restore stops.
func sayBehind(s streams, t target, name string) {
	if t.Pipeline == nil {
		return
	}
	var behind []string
	for _, b := range t.Pipeline.Tables {
		if b.Model == nil {
			continue
		}
		for _, in := range b.Model.Changes {
			if in == name {
				behind = append(behind, b.FullName())
			}
		}
	}
	if len(behind) > 0 {
		fmt.Fprintf(s.out, "Tables that read its changes stop until they are restored, too, to a version from before they read what is gone: %s.\n", strings.Join(behind, ", "))
	}
}

func checkCommand(g *globals, io func() streams, dir *string) *cobra.Command {
	var deep bool
	c := &cobra.Command{
		Use: "check TABLE|PATH", Short: "Look for damage: log, files, deletion vectors, statistics", Args: cobra.ExactArgs(1),
		Long: "Look for damage in a table and say what to do about it; nothing is changed. Found are missing, cut-off and foreign files, gaps and damage in the log,\n" +
			"checkpoints and checksum files that say other than the log, bad deletion vectors, missing cursors; with --deep, which reads all data,\n" +
			"also unreadable files and statistics that are not true. Foreign files are no damage: a vacuum deletes them.\n\n" +
			"The exit code is 9 when there is damage.",
		Example: "  lakestep table check silver.cleaned_orders\n  lakestep table check /data/events --deep -o json",
		RunE: func(c *cobra.Command, args []string) error {
			return checkTable(c.Context(), g, io(), *dir, args[0], deep)
		},
	}
	c.Flags().BoolVar(&deep, "deep", false, "read all data, and hold the statistics against it")
	return c
}

func checkTable(ctx context.Context, g *globals, s streams, dir, name string, deep bool) error {
	t, err := g.target(ctx, dir, name)
	if err != nil {
		return err
	}
	m := t.maintained()
	o := maintenance.CheckOptions{Deep: deep}
	if deep {
		session, done, err := t.session(ctx)
		if err != nil {
			return err
		}
		defer done()
		m.Session = session
		last := time.Now()
		o.Progress = func(n, of int) {
			if now := time.Now(); !s.json && now.Sub(last) > time.Second {
				fmt.Fprintf(s.err, "  %d of %d files read\n", n, of)
				last = now
			}
		}
	}
	if t.Lake != nil {
		o.Cursor = func(ctx context.Context) ([]maintenance.Finding, error) {
			return cursorFindings(t.Lake.Check(ctx, name))
		}
	}
	out, err := maintenance.Check(ctx, m, o)
	if err != nil {
		return err
	}
	if s.json {
		err = printJSON(s, out)
	} else {
		showFindings(s, t.Name, out)
	}
	if err == nil && out.Damaged() {
		return errReported{exitDamaged}
	}
	return err
}

func cursorFindings(err error) ([]maintenance.Finding, error) {
	if fault.KindOf(err) != fault.SourceLost {
		return nil, err
	}
	return []maintenance.Finding{{Kind: maintenance.BadCursor, Damage: true, Object: "_lakestep/cursors", What: err.Error(), Hint: fault.HintOf(err)}}, nil
}

func showFindings(s streams, name string, out maintenance.Checked) {
	damaged := 0
	w := newTable(s, "finding", "object", "what is wrong")
	hints := map[string]bool{}
	var order []string
	for i, f := range out.Findings {
		kind := string(f.Kind)
		if f.Damage {
			damaged++
			kind = "! " + kind
		}
		if i < 5*maxShown {
			w.AppendRow(table.Row{kind, f.Object, f.What})
		}
		if f.Hint != "" && !hints[f.Hint] {
			hints[f.Hint] = true
			order = append(order, string(f.Kind)+": "+f.Hint)
		}
	}
	if len(out.Findings) > 0 {
		w.Render()
		if n := len(out.Findings) - 5*maxShown; n > 0 {
			fmt.Fprintf(s.out, "... and %d more; -o json has all.\n", n)
		}
		for _, h := range order {
			fmt.Fprintf(s.out, "  %s\n", h)
		}
	}
	where := fmt.Sprintf("%s, version %d: %s, %s", name, out.Version, some(int64(out.Files), "file"), size(out.Bytes))
	if out.Version < 0 {
		where = name + " cannot be read"
	}
	if damaged == 0 {
		fmt.Fprintf(s.out, "%s: no damage.\n", where)
		return
	}
	fmt.Fprintf(s.out, "%s: %s of damage (marked !).\n", where, some(int64(damaged), "finding"))
}
