package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/document"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
)

func sourceCommand(g *globals, io func() streams) *cobra.Command {
	var dir string
	var rows int
	c := &cobra.Command{Use: "source", Short: "Look at what a pipeline loads from, before it loads: ls, check, preview"}
	c.PersistentFlags().StringVarP(&dir, "pipeline", "p", defaultPipeline, "folder of the pipeline")
	ls := &cobra.Command{
		Use: "ls [SOURCE]", Short: "What the sources have: tables, topics, files; their columns and size, and the stream that reads them",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return g.sourceLs(c.Context(), io(), dir, args) },
	}
	check := &cobra.Command{
		Use: "check [SOURCE]", Short: "Try what loading needs: the way there, credentials, each privilege; exit code 2 when something lacks",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return g.sourceCheck(c.Context(), io(), dir, args) },
	}
	preview := &cobra.Command{
		Use: "preview SOURCE.STREAM", Short: "Some rows of a stream, as bronze would take them; nothing is loaded, no position moves",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return g.sourcePreview(c.Context(), io(), dir, args[0], rows)
		},
	}
	preview.Flags().IntVar(&rows, "rows", 10, "rows shown at most")
	c.AddCommand(ls, check, preview)
	return c
}

// explore calls do for the sources asked for: all, or the one named.
func (g *globals) explore(ctx context.Context, dir string, args []string, do func(pipeline.Source, connector.Explorer) error) error {
	_, p, err := g.load(dir)
	if err != nil {
		return err
	}
	var names []string
	found := false
	for _, src := range p.Sources {
		names = append(names, src.Name)
		if len(args) == 1 && src.Name != args[0] {
			continue
		}
		found = true
		if err := exploreOne(ctx, p, src, do); err != nil {
			return err
		}
	}
	if !found {
		return fault.New(fault.InvalidInput, "find", "source "+strings.Join(args, ""), "the pipeline has no such source").
			WithHint("%s", document.DidYouMean(strings.Join(args, ""), names))
	}
	return nil
}

func exploreOne(ctx context.Context, p *pipeline.Pipeline, src pipeline.Source, do func(pipeline.Source, connector.Explorer) error) error {
	opened, err := compose.OpenSource(ctx, p, src)
	if err != nil {
		return err
	}
	defer opened.Close()
	e, ok := opened.(connector.Explorer)
	if !ok {
		return fault.New(fault.Internal, "explore", src.Name, "connector %s does not tell", src.Connector)
	}
	return do(src, e)
}

// listed is what one source has.
type listed struct {
	Source    string                 `json:"source"`
	Connector string                 `json:"connector"`
	Streams   []connector.Discovered `json:"streams"`
}

func (g *globals) sourceLs(ctx context.Context, s streams, dir string, args []string) error {
	var out []listed
	err := g.explore(ctx, dir, args, func(src pipeline.Source, e connector.Explorer) error {
		found, err := e.Discover(ctx)
		out = append(out, listed{src.Name, src.Connector, found})
		return err
	})
	if err != nil {
		return err
	}
	if s.json {
		return printJSON(s, out)
	}
	for _, l := range out {
		fmt.Fprintf(s.out, "%s (%s)\n", l.Source, l.Connector)
		w := newTable(s, "name", "columns", "key", ">items", ">rows", ">size", "can be read by", "stream")
		for _, d := range l.Streams {
			bytes := ""
			if d.Bytes > 0 {
				bytes = size(d.Bytes)
			}
			w.AppendRow(table.Row{d.Name, shorten(columnList(d.Columns)), strings.Join(d.Key, ", "), itemsOf(d), blankZero(d.Rows), bytes, strings.Join(d.Modes, ", "), d.Stream})
		}
		w.Render()
	}
	return nil
}

// itemsOf is what a stream is made of: "12 files".
func itemsOf(d connector.Discovered) string {
	switch {
	case d.Unit == "":
		return ""
	case d.Items == 1:
		return "1 " + strings.TrimSuffix(d.Unit, "s")
	}
	return count(int64(d.Items)) + " " + d.Unit
}

func columnList(columns []connector.DiscoveredColumn) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.Name + " " + c.Type
	}
	return strings.Join(out, ", ")
}

// checkedSource is what was found of one source.
type checkedSource struct {
	Source   string              `json:"source"`
	Findings []connector.Finding `json:"findings"`
}

func (g *globals) sourceCheck(ctx context.Context, s streams, dir string, args []string) error {
	var out []checkedSource
	good := true
	err := g.explore(ctx, dir, args, func(src pipeline.Source, e connector.Explorer) error {
		c := checkedSource{Source: src.Name, Findings: e.Check(ctx)}
		out = append(out, c)
		for _, f := range c.Findings {
			good = good && f.OK
		}
		return nil
	})
	if err != nil {
		return err
	}
	if s.json {
		err = printJSON(s, out)
	} else {
		printFindings(s, out)
	}
	if err == nil && !good {
		return errReported{exitCode(fault.New(fault.InvalidInput, "", "", "a check failed"))}
	}
	return err
}

func printFindings(s streams, out []checkedSource) {
	for _, c := range out {
		fmt.Fprintln(s.out, c.Source)
		for _, f := range c.Findings {
			mark := "ok    "
			if !f.OK {
				mark = "FAILED"
			}
			fmt.Fprintf(s.out, "  %s  %s", mark, f.What)
			if f.Detail != "" {
				fmt.Fprintf(s.out, ": %s", f.Detail)
			}
			fmt.Fprintln(s.out)
			word := "hint"
			if f.OK {
				word = "advice"
			}
			if f.Hint != "" {
				fmt.Fprintf(s.out, "          %s: %s\n", word, f.Hint)
			}
		}
	}
}

func (g *globals) sourcePreview(ctx context.Context, s streams, dir, name string, rows int) error {
	if rows < 1 {
		return fault.New(fault.InvalidInput, "read", fmt.Sprintf("--rows %d", rows), "it is less than 1")
	}
	source, stream, ok := strings.Cut(name, ".")
	if !ok {
		return fault.New(fault.InvalidInput, "read", name, "it is not SOURCE.STREAM").WithHint("lakestep source ls tells the streams")
	}
	temp, err := os.MkdirTemp("", "lakestep-preview-")
	if err != nil {
		return fault.New(fault.Internal, "preview", name, "%w", err)
	}
	defer os.RemoveAll(temp)
	return g.explore(ctx, dir, []string{source}, func(src pipeline.Source, e connector.Explorer) error {
		if _, ok := src.Config("").Streams[stream]; !ok {
			return fault.New(fault.InvalidInput, "preview", name, "the source has no such stream").WithHint("lakestep source ls %s", source)
		}
		files := filepath.Join(temp, "page")
		if err := os.Mkdir(files, 0o755); err != nil {
			return fault.New(fault.Internal, "preview", name, "%w", err)
		}
		page, err := e.Preview(ctx, connector.Request{Stream: stream, Dir: files, Limit: connector.Limit{Items: 1, Rows: int64(rows), Bytes: 64 << 20}})
		if err != nil {
			return err
		}
		return showPage(ctx, s, temp, page, rows)
	})
}

// showPage prints the rows of a page.
func showPage(ctx context.Context, s streams, temp string, page connector.Page, rows int) error {
	e, err := engine.Open(engine.Options{MemoryMB: 512, Threads: 1, TempDir: temp})
	if err != nil {
		return err
	}
	defer e.Close()
	session, err := e.Session(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	var objects []json.RawMessage
	for _, part := range page.Parts {
		query, err := partQuery(ctx, session, part)
		if err != nil {
			return err
		}
		if !s.json {
			if err := showRows(ctx, s, session, query, rows); err != nil {
				return err
			}
			continue
		}
		lines, err := session.Strings(ctx, fmt.Sprintf("SELECT CAST(to_json(t) AS VARCHAR) FROM (%s) t LIMIT %d", query, rows))
		if err != nil {
			return err
		}
		for _, l := range lines {
			objects = append(objects, json.RawMessage(l[0]))
		}
	}
	if s.json {
		return printJSON(s, map[string]any{"rows": append([]json.RawMessage{}, objects...), "no_rows": append([]connector.Bad{}, page.Bad...)})
	}
	for _, b := range page.Bad {
		fmt.Fprintf(s.err, "no row: %s line %d: %s\n", b.Key, b.Line, b.Error)
	}
	return nil
}

func partQuery(ctx context.Context, session *engine.Session, part connector.Part) (string, error) {
	rows, _, columns, err := lake.PartRows(ctx, session, part)
	selected := make([]string, len(columns))
	for i, c := range columns {
		selected[i] = c.Expr + " AS " + engine.Ident(c.Name)
	}
	return fmt.Sprintf("SELECT %s FROM %s r", strings.Join(selected, ", "), rows), err
}
