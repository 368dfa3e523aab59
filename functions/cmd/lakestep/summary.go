package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/ledger"
)

// plainStyle is a table without lines but one under the header.
func plainStyle() table.Style {
	st := table.StyleLight
	st.Options = table.Options{SeparateHeader: true}
	st.Format.Header = text.FormatDefault
	return st
}

func newTable(s streams, columns ...string) table.Writer {
	w := table.NewWriter()
	w.SetOutputMirror(s.out)
	setColumns(w, columns)
	return w
}

// setColumns writes the header; columns of numbers, marked with a leading ">", stand to the right.
func setColumns(w table.Writer, columns []string) {
	w.SetStyle(plainStyle())
	header := make(table.Row, len(columns))
	var configs []table.ColumnConfig
	for i, c := range columns {
		name, number := strings.CutPrefix(c, ">")
		header[i] = name
		if number {
			configs = append(configs, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	w.AppendHeader(header)
	w.SetColumnConfigs(configs)
}

// count writes a number with separators.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// some writes a number of things.
func some(n int64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return count(n) + " " + thing
}

func blankZero(n int64) string {
	if n == 0 {
		return ""
	}
	return count(n)
}

func rate(rows int64, seconds float64) string {
	return count(int64(float64(rows)/seconds)) + " rows/s"
}

func size(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	f, u := float64(n), 0
	for f >= 1000 && u < len(units)-1 {
		f, u = f/1000, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[u])
}

// summaryContext is what the closing words refer to: the lake, and what follows the commands that they name.
type summaryContext struct {
	lake, again, look string
	sample            bool // the sample pipeline, for which there is more to land
}

// summarize prints how a run ended.
func summarize(s streams, out ledger.Outcome, c summaryContext) error {
	switch out.Status {
	case ledger.Nothing:
		fmt.Fprintf(s.out, "Nothing is new: the lake %s is up to date.\n", c.lake)
		return nil
	case ledger.Failed:
		return summarizeFailure(s, out, c)
	}
	w := newTable(s, "table", ">version", ">read", ">accepted", ">superseded", ">stale", ">quarantined", ">score", "")
	for _, t := range out.Tables {
		note := ""
		switch {
		case t.Version < 0:
			note = "no data yet"
		case !t.Changed:
			note = "unchanged"
		}
		if t.Verdict == "waived" {
			note = "gate waived"
		}
		for _, h := range out.Held {
			if h.Table == t.Table {
				note = "HELD"
				if h.Cause != h.Table {
					note += " by " + h.Cause
				}
			}
		}
		version, score := fmt.Sprint(t.Version), ""
		if t.Version < 0 {
			version = "-"
		}
		if t.Verdict != "" {
			score = fmt.Sprintf("%.2f", t.Score)
		}
		n := t.Counts
		w.AppendRow(table.Row{t.Table, version, blankZero(n.Read), blankZero(n.Accepted), blankZero(n.Superseded), blankZero(n.Stale), blankZero(n.Quarantined), score, note})
	}
	fmt.Fprintln(s.out)
	w.Render()
	n := out.Counts
	balance := "the counts balance"
	if !n.Balanced() {
		balance = "THE COUNTS DO NOT BALANCE"
	}
	fmt.Fprintln(s.out)
	var raw lake.Counts
	for _, t := range out.Tables {
		if strings.HasPrefix(t.Table, "bronze.") {
			raw = raw.Plus(t.Counts)
		}
	}
	if raw.Read > 0 {
		known := ""
		if raw.Stale > 0 {
			known = fmt.Sprintf(" + %s known", count(raw.Stale))
		}
		fmt.Fprintf(s.out, "Bronze read %s rows = %s accepted%s + %s rejected.\n", count(raw.Read), count(raw.Accepted), known, count(raw.Quarantined))
	}
	fmt.Fprintf(s.out, "Silver read %s rows = %s accepted + %s superseded + %s stale + %s quarantined: %s.\n",
		count(n.Read), count(n.Accepted), count(n.Superseded), count(n.Stale), count(n.Quarantined), balance)
	fmt.Fprintf(s.out, "Run %s %s in %.1f s. The lake is in %s (Delta tables, readable with delta-rs, Spark, DuckDB).\n",
		out.Run, out.Status, out.Finished.Sub(out.Started).Seconds(), c.lake)
	if len(out.Held) > 0 {
		sayHeld(s, out, c)
		return nil
	}
	sayNext(s, out, c)
	return nil
}

// sayNext names commands to go on with.
func sayNext(s streams, out ledger.Outcome, c summaryContext) {
	if c.sample {
		fmt.Fprintf(s.out, "\nNext:\n"+
			"  bin/lakestep query%[1]s 'SELECT currency, sum(revenue_usd) AS usd FROM gold.daily_revenue GROUP BY ALL'\n"+
			"  bin/lakestep table history%[1]s silver.cleaned_orders\n"+
			"  bin/lakestep sample --next && bin/lakestep run%[2]s      # one more quarter lands; only that is taken in\n", c.look, c.again)
		return
	}
	if len(out.Tables) > 0 {
		last := out.Tables[len(out.Tables)-1].Table
		fmt.Fprintf(s.out, "\nNext:\n  lakestep query%[1]s 'FROM %[2]s LIMIT 10'\n  lakestep table history%[1]s %[2]s\n", c.look, last)
	}
}

// sayHeld tells how to go on behind a closed gate.
func sayHeld(s streams, out ledger.Outcome, c summaryContext) {
	for _, h := range out.Held {
		if h.Cause != h.Table {
			continue
		}
		fmt.Fprintf(s.out, `
The gate of %[1]s is closed: %[2]s
Readers stay on the last good version. To go on:
  lakestep gate%[4]s %[1]s
      see the rules, and rows that fail them; then fix the data, the model or the rule, and run again
  lakestep run%[3]s --waive %[1]s --reason '...'
      let this batch through
`, h.Table, h.Reason, c.again, c.look)
		if strings.HasPrefix(h.Table, "silver.") {
			fmt.Fprintf(s.out, "  lakestep run%s --quarantine-batch %s --reason '...'\n      send the whole batch to quarantine\n", c.again, h.Table)
		}
	}
}

// summarizeFailure prints the error that ended a run.
func summarizeFailure(s streams, out ledger.Outcome, c summaryContext) error {
	var cause struct{ Message, Hint string }
	message, hint := out.Error.Cause, ""
	if json.Unmarshal([]byte(out.Error.Cause), &cause) == nil && cause.Message != "" {
		message, hint = cause.Message, cause.Hint
	}
	fmt.Fprintf(s.err, "error: %s: %s\n", out.Error.Error, message)
	if hint != "" {
		fmt.Fprintln(s.err, " hint:", hint)
	}
	fmt.Fprintf(s.err, "Run %s failed. Tables that were published stay; readers of the others stay on their last version. Run again when the cause is mended: lakestep run%s\n", out.Run, c.again)
	return nil
}
