package main

import (
	"context"
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/store/mem"
	"github.com/lakestep/lakestep/shared/transform"
)

// planned is what a run would do for one table.
type planned struct {
	Table string `json:"table"`
	Items int    `json:"items,omitempty"` // files to take
	Bytes int64  `json:"bytes,omitempty"`
	Work  bool   `json:"work"`
	Why   string `json:"why"`
}

// plan answers --dry-run.
func (o *runOptions) plan(ctx context.Context, s streams, where place, b pipeline.Bundle) error {
	p, err := pipeline.Load(b)
	if err != nil {
		return err
	}
	l := compose.LakeIn(mem.New(), version) // one that is not there yet is empty
	if there, err := where.exists(ctx); err != nil {
		return err
	} else if there {
		if l, err = openLake(ctx, where); err != nil {
			return err
		}
	}
	runner := &transform.Runner{Lake: l}
	pending := map[string]bool{}
	var rows []planned
	for _, t := range p.Tables {
		row := planned{Table: t.FullName()}
		if t.Layer == pipeline.Bronze {
			if row, err = o.planBronze(ctx, l, p, t); err != nil {
				return err
			}
		} else {
			if row.Work, err = runner.Pending(ctx, p, t); err != nil {
				return err
			}
			row.Why = "nothing is new"
			if row.Work {
				row.Why = "its inputs have rows that it has not read"
			}
			reads := t.Model.Changes
			if len(reads) == 0 {
				reads = t.Model.Refs
			}
			for _, in := range reads {
				if pending[in] {
					row.Work, row.Why = true, "reads "+in
				}
			}
		}
		pending[row.Table] = row.Work
		rows = append(rows, row)
	}
	if s.json {
		return printJSON(s, rows)
	}
	w := newTable(s, "table", ">files", ">bytes", "would run", "why")
	for _, r := range rows {
		work := "no"
		if r.Work {
			work = "yes"
		}
		w.AppendRow(table.Row{r.Table, blankZero(int64(r.Items)), blankZero(r.Bytes), work, r.Why})
	}
	w.Render()
	fmt.Fprintf(s.out, "Dry run: nothing was changed in %s.\n", compose.Displayed(where.Name))
	return nil
}

func (o *runOptions) planBronze(ctx context.Context, l *lake.Lake, p *pipeline.Pipeline, t *pipeline.Table) (planned, error) {
	row := planned{Table: t.FullName(), Why: "nothing is new"}
	source, stream, _ := p.Stream(t.Stream)
	src, err := compose.OpenSource(ctx, p, source)
	if err != nil {
		return row, err
	}
	defer src.Close()
	table, err := l.Open(ctx, t.FullName())
	if err != nil {
		return row, err
	}
	seen, err := table.Seen(ctx)
	if err != nil {
		return row, err
	}
	backlog, err := src.Pending(ctx, stream.Name, seen)
	if backlog.Items > 0 {
		row.Work, row.Items, row.Bytes, row.Why = true, backlog.Items, backlog.Bytes, "the source has more"
		if source.Connector == "files" {
			row.Why = "files landed"
		}
	}
	return row, err
}
