package main

import (
	"bufio"
	"context"
	"fmt"

	"strings"

	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

// givesRows marks a command whose output may also be jsonl or csv.
const givesRows = "rows"

// outputs are the values of --output that a command knows.
func outputs(c *cobra.Command) []string {
	if c.Annotations[givesRows] != "" {
		return []string{"text", "json", "jsonl", "csv"}
	}
	return []string{"text", "json"}
}

// shownRows is how many rows people are shown, unless they ask for more.
const shownRows = 1000

// rowLimit is --limit of commands that print rows.
type rowLimit struct{ rows int }

func (l *rowLimit) add(c *cobra.Command) {
	c.Flags().IntVar(&l.rows, "limit", -1, fmt.Sprintf("rows given at most; 0 for all (text: %d unless said otherwise; other outputs: all)", shownRows))
	if c.Annotations == nil {
		c.Annotations = map[string]string{}
	}
	c.Annotations[givesRows] = "yes"
}

// of gives the limit for an output; 0: none.
func (l *rowLimit) of(s streams) (int, error) {
	switch {
	case l.rows < -1:
		return 0, fault.New(fault.InvalidInput, "read", fmt.Sprintf("--limit %d", l.rows), "it is less than 0")
	case l.rows == -1 && s.format == "text":
		return shownRows, nil
	}
	return max(l.rows, 0), nil
}

// writeRows prints the rows of a query, whose columns are those of a schema: as a table, or, while they come, as JSON or CSV. JSON has values
// as `table state` writes them.
func writeRows(ctx context.Context, s streams, session *engine.Session, schema delta.Schema, query string, limit int) error {
	limited := query
	if limit > 0 {
		limited += fmt.Sprintf("\nLIMIT %d", limit)
	}
	json := "SELECT " + canonicalRow(schema) + " AS line FROM (\n" + limited + "\n)"
	out := bufio.NewWriter(s.out)
	var err error
	switch s.format {
	case "text":
		return showRows(ctx, s, session, query, limit)
	case "csv":
		err = session.WriteCSV(ctx, limited, out)
	case "jsonl":
		err = session.WriteLines(ctx, json, out)
	default:
		_, _ = out.WriteString("[") // the last Flush tells of errors
		list := &jsonList{out: out}
		err = session.WriteLines(ctx, json, list)
		_, _ = out.WriteString("\n]\n")
	}
	if err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return fault.New(fault.Unavailable, "write", "output", "%w", err)
	}
	return nil
}

// jsonList makes a list of lines: a comma stands before all but the first.
type jsonList struct {
	out    *bufio.Writer
	inLine bool
	lines  int
}

func (l *jsonList) Write(p []byte) (int, error) {
	for _, c := range p {
		if c == '\n' {
			l.inLine = false
			continue
		}
		if !l.inLine {
			if l.lines > 0 {
				_ = l.out.WriteByte(',')
			}
			_, _ = l.out.WriteString("\n  ")
			l.lines++
			l.inLine = true
		}
		if err := l.out.WriteByte(c); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// showRows prints the first rows of a query as a table; limit 0: all.
func showRows(ctx context.Context, s streams, session *engine.Session, query string, limit int) error {
	most := limit + 1
	if limit == 0 {
		most = 1 << 40
	}
	rows, err := session.Sample(ctx, query, most)
	if err != nil {
		return err
	}
	header, rows := rows[0], rows[1:]
	more := limit > 0 && len(rows) > limit
	if more {
		rows = rows[:limit]
	}
	w := newTable(s, header...)
	for _, r := range rows {
		for i, text := range r {
			r[i] = shorten(text)
		}
		w.AppendRow(cells(r))
	}
	w.Render()
	if more {
		fmt.Fprintf(s.out, "The first %s; --limit shows more.\n", some(int64(limit), "row"))
	}
	return nil
}

// checkWhere refuses a condition that DuckDB does not take for the table, in words about the condition alone.
func checkWhere(ctx context.Context, session *engine.Session, sc engine.Scan, where string) error {
	sc.Files, sc.Extra, sc.Position, sc.Commits = nil, nil, false, false
	empty, err := session.Relation(ctx, sc)
	if err != nil {
		return err
	}
	if err := session.Exec(ctx, "SELECT 1 FROM "+empty+" WHERE (\n"+where+"\n)"); err != nil {
		return lessOneLine(err)
	}
	return nil
}

// lessOneLine tells an error of SQL that stood one line further down.
func lessOneLine(err error) error {
	if fault.KindOf(err) != fault.InvalidInput {
		return err
	}
	text := sqlLine.ReplaceAllStringFunc(err.Error(), func(m string) string {
		n := 0
		_, _ = fmt.Sscanf(strings.Trim(m, "\n"), "LINE %d:", &n)
		return fmt.Sprintf("\nLINE %d:", n-1)
	})
	return fault.New(fault.InvalidInput, "", "", "%s", text).WithHint("%s", fault.HintOf(err))
}
