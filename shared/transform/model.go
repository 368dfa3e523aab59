package transform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/quality"
)

// The names of the session's relations.
const (
	modelView = "_model"
	typedRows = "_typed" // silver: the model's rows with _row and _reason
	goodRows  = "_good"  // what the table gets
	rowID     = "_row"
)

// viewName is what a ref or changes becomes in SQL.
func viewName(kind pipeline.Kind, table string) string {
	return engine.Ident(string(kind) + " " + table)
}

// views makes the inputs visible to the model.
func (j *job) views(ctx context.Context) error {
	for _, name := range j.Table.Model.Refs {
		relation, err := j.session.Relation(ctx, j.inputs[name].Live(j.inputs[name].Snap))
		if err != nil {
			return err
		}
		if err := j.view(ctx, viewName(pipeline.Ref, name), "SELECT * FROM "+relation); err != nil {
			return err
		}
	}
	for _, name := range j.Table.Model.Changes {
		var key []string
		if a := j.arbiter(); a != nil {
			key = a.UniqueKey
		}
		query, err := changed(ctx, j.session, j.inputs[name], j.gains[name], j.Table.Layer == pipeline.Silver, key)
		if err != nil {
			return err
		}
		if err := j.view(ctx, viewName(pipeline.Changes, name), query); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) view(ctx context.Context, name, query string) error {
	return j.session.Exec(ctx, "CREATE TEMP VIEW "+name+" AS "+query)
}

// changed is a query for the rows that a table gained: new rows, and the new state of changed ones. With rows, each has its id. Of a key that
// stands in several commits of a table merged by key only the newest state is given, unless all states are asked for.
func changed(ctx context.Context, s *engine.Session, in *lake.Table, g lake.Gain, rows bool, key []string) (string, error) {
	sc := in.Scan(in.Snap, g.Rows)
	newest := len(key) > 0 && g.Several()
	sc.Position, sc.Commits = rows, newest
	relation, err := s.Relation(ctx, sc)
	if err != nil {
		return "", err
	}
	if rows { // 2^40 rows a file, 2^23 files
		return fmt.Sprintf("SELECT * EXCLUDE (_file, _pos), (_file << 40) | _pos AS %s FROM %s", rowID, relation), nil
	}
	query := "SELECT * FROM " + relation
	if len(g.Feed) > 0 {
		sc := in.Scan(in.Snap, g.Feed)
		sc.Extra, sc.Commits = []string{"_change_type"}, newest
		feed, err := s.Relation(ctx, sc)
		if err != nil {
			return "", err
		}
		query += " UNION ALL BY NAME SELECT * EXCLUDE (_change_type) FROM " + feed + " WHERE _change_type IN ('insert', 'update_postimage')"
	}
	if newest {
		query = fmt.Sprintf("SELECT * EXCLUDE (_commit) FROM (%s) QUALIFY row_number() OVER (PARTITION BY %s ORDER BY _commit DESC) = 1", query, engine.Idents(key))
	}
	return query, nil
}

// arbiter is the table whose changes the model reads, if that is merged by key: it has decided already which row of a key is the newest. nil
// when there is none, or all states of a key are to become history.
func (j *job) arbiter() *pipeline.Table {
	changes := j.Table.Model.Changes
	if len(changes) != 1 || j.Table.History == pipeline.AllVersions {
		return nil
	}
	t, ok := j.Pipeline.Table(changes[0])
	if !ok || t.Materialized != pipeline.Merge {
		return nil
	}
	return t
}

// compile makes the view of the model.
func (j *job) compile(ctx context.Context) error {
	schema, err := Compile(ctx, j.session, j.Table)
	j.model = withoutRow(schema)
	return err
}

// runModel makes _good (and in silver _typed) of the model's result, for a table of the schema.
func (j *job) runModel(ctx context.Context, table delta.Schema) error {
	rows := modelView
	if j.Table.Operation != "" {
		var err error
		if rows, err = j.events(ctx, table); err != nil {
			return err
		}
	}
	into, query := goodRows, "SELECT * FROM "+rows
	if j.Table.Layer == pipeline.Silver {
		reason := quality.Reason(silverRules(j.Table, j.model))
		if j.Table.Operation != "" {
			reason = eventReason(reason)
		}
		if j.RefuseAll {
			reason = "coalesce(" + reason + ", 'batch_quarantined')"
		}
		into, query = typedRows, fmt.Sprintf("SELECT *, %s AS _reason FROM %s", reason, rows)
	}
	if err := j.runSQL(ctx, "CREATE TEMP TABLE "+into+" AS "+query); err != nil {
		return err
	}
	if err := j.dropEvents(ctx); err != nil {
		return err
	}
	if into == typedRows {
		return j.view(ctx, goodRows, "SELECT * EXCLUDE (_row, _reason) FROM "+typedRows+" WHERE _reason IS NULL")
	}
	return nil
}

// runSQL runs a statement with the model in it.
func (j *job) runSQL(ctx context.Context, query string) error {
	if err := j.session.Exec(ctx, query); err != nil {
		return fault.New(fault.KindOf(err), "run", j.Table.Model.File, "%w", err).WithHint("%s", fault.HintOf(err))
	}
	return nil
}

// Compile makes the view _model of a table's model, whose refs and changes the session has as views, and gives its schema. Mistakes in the
// SQL, and in the expressions of the table's rules, are InvalidInput faults with file, line and column.
func Compile(ctx context.Context, s *engine.Session, t *pipeline.Table) (delta.Schema, error) {
	rendered, err := t.Model.Render(viewName)
	if err != nil {
		return delta.Schema{}, err
	}
	query := "CREATE OR REPLACE TEMP VIEW " + modelView + " AS\n" + strings.TrimRight(rendered.SQL, blank+";") + "\n"
	if err := s.Exec(ctx, query); err != nil {
		return delta.Schema{}, modelError(err, rendered)
	}
	schema, err := s.Describe(ctx, "SELECT * FROM "+modelView)
	if err != nil {
		return delta.Schema{}, fault.New(fault.KindOf(err), "compile", t.Model.File+":1:1", "%w", err).WithHint("%s", fault.HintOf(err))
	}
	if _, ok := schema.Field(rowID); t.Layer == pipeline.Silver && !ok {
		return delta.Schema{}, fault.New(fault.InvalidInput, "compile", t.Model.File+":1:1", "the result has no column _row").
			WithHint("a silver model selects _row of its {{ changes }} too: by it lakestep finds the received row of a refused one")
	}
	for _, f := range withoutRow(schema).Fields {
		if strings.HasPrefix(f.Name, "_") || engine.Reserved(f.Name) {
			return delta.Schema{}, fault.New(fault.InvalidInput, "compile", t.Model.File+":1:1", "the result has a column %s", f.Name).
				WithHint("names that begin with _, file_row_number, file_index and filename are how lakestep finds rows again: select it AS another name")
		}
	}
	return schema, compileRules(ctx, s, t, schema)
}

const blank = " \t\r\n"

var duckLine = regexp.MustCompile(`(?s)\n*LINE (\d+): (.*?)\n( *)\^`)

// modelError gives an error of the engine the place in the model's file: DuckDB prints the line and a caret under the column. The model
// begins on line 2 of the statement. An error without a line is one of the whole, or of its end.
func modelError(err error, r pipeline.Rendered) error {
	pos := r.Origin(1, 1)
	if strings.Contains(err.Error(), "at end of input") {
		pos = r.OriginOffset(len(strings.TrimRight(r.SQL, blank)))
	}
	if m := duckLine.FindStringSubmatch(err.Error()); m != nil {
		if line, aerr := strconv.Atoi(m[1]); aerr == nil {
			pos = r.Origin(line-1, columnOf(r.SQL, line-1, m[2], len(m[3])-len("LINE "+m[1]+": ")))
		}
	}
	return fault.New(fault.KindOf(err), "compile", pos.String(), "%w", short(err)).WithHint("%s", cmp.Or(candidates(err), fault.HintOf(err)))
}

var duckCandidates = regexp.MustCompile(`Candidate bindings: (.*)`)

// candidates is the engine's guess at what a wrong name was meant to be, "" when it has none.
func candidates(err error) string {
	if m := duckCandidates.FindStringSubmatch(err.Error()); m != nil {
		return "did you mean one of " + m[1] + "?"
	}
	return ""
}

// columnOf finds the column, in characters from 1, of a caret under what DuckDB shows of a line: a long one is cut, with dots where
// something is left out, and the caret counts the cells of a terminal.
func columnOf(sql string, line int, shown string, caret int) int {
	lines := strings.Split(sql, "\n")
	if line < 1 || line > len(lines) {
		return 1
	}
	text := strings.TrimPrefix(shown, "...")
	caret -= len(shown) - len(text)
	before, _, found := strings.Cut(lines[line-1], strings.TrimSuffix(text, "..."))
	if !found {
		return 1
	}
	column := 1 + utf8.RuneCountInString(before)
	for _, c := range text {
		if caret <= 0 {
			break
		}
		caret -= cells(c)
		column++
	}
	return column
}

// cells is the width of a character in a terminal: two for those of East Asia and for pictures, none for marks over the one before.
func cells(c rune) int {
	switch {
	case unicode.In(c, unicode.Mn, unicode.Me):
		return 0
	case c >= 0x1100 && unicode.In(c, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul), c >= 0xFF01 && c <= 0xFF60, c >= 0x1F300 && c <= 0x1FAFF:
		return 2
	}
	return 1
}

// short is the first line of an engine's error, without its source excerpt.
func short(err error) error {
	text := err.Error()
	if i := strings.Index(text, "\n"); i >= 0 {
		text = text[:i]
	}
	return errors.New(strings.TrimPrefix(strings.TrimPrefix(text, "run SQL: "), "Binder Error: "))
}
