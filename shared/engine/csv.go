package engine

import (
	"fmt"
	"strings"
)

// CSV describes delimited text files that share one header. Line ends must be as said, and no line may be longer than the
// reader's buffer (4 * MaxLine): DuckDB stops at the first, and leaves the other out without a word.
type CSV struct {
	Paths     []string
	Columns   []string // of the header, in its order
	Header    bool     // the first line is the header, to be skipped
	Delimiter string   // default ","
	EmptyText bool     // a quoted empty field is an empty text, not NULL
	CRLF      bool     // lines end in CR LF, not in LF

	// LineBreaks: a quoted field may hold a line end. DuckDB's parallel scan then guesses where in a file a row begins, and may take text
	// for rows (1.5.6, measured): such files are read by one thread each.
	LineBreaks bool
}

// CSV makes a relation of the files: all columns text as they came, plus _path, the file. An unquoted empty field is NULL. Lines that
// cannot be split are left out; once the relation has been read to the end, the relation rejects holds them: path, line (1-based, the
// header included), raw_text, error.
func (s *Session) CSV(c CSV) (relation, rejects string) {
	s.seq++
	errs, scans := fmt.Sprintf("rejects_%d", s.seq), fmt.Sprintf("scans_%d", s.seq)
	relation = fmt.Sprintf("(SELECT %s, _path FROM read_csv(%s, %s))", Idents(c.Columns), exactly(c.Paths), c.options(errs, scans))
	rejects = fmt.Sprintf(`(
		SELECT f.file_path AS path, e.line::BIGINT AS line, any_value(e.csv_line) AS raw_text,
		       string_agg(DISTINCT lower(e.error_type::VARCHAR) || coalesce(' at ' || e.column_name, '') || ': ' || e.error_message, '; ') AS error
		FROM %s e JOIN %s f USING (scan_id, file_id) GROUP BY ALL)`, errs, scans)
	return relation, rejects
}

func (c CSV) options(rejects, scans string) string {
	delim := c.Delimiter
	if delim == "" {
		delim = ","
	}
	types := make([]string, len(c.Columns))
	for i, n := range c.Columns {
		types[i] = Literal(n) + ": 'VARCHAR'"
	}
	o := []string{
		"auto_detect = false", "filename = '_path'", "hive_partitioning = false", "compression = 'none'", fmt.Sprintf("header = %t", c.Header),
		"delim = " + Literal(delim), "quote = '\"'", "escape = '\"'",
		"columns = {" + strings.Join(types, ", ") + "}",
		"store_rejects = true", "rejects_limit = 0", "rejects_table = " + Literal(rejects), "rejects_scan = " + Literal(scans),
		fmt.Sprintf("max_line_size = %d", MaxLine), fmt.Sprintf("buffer_size = %d", 4*MaxLine),
	}
	newLine := `'\n'`
	if c.CRLF {
		newLine = `'\r\n'`
	}
	o = append(o, "new_line = "+newLine) // left to itself, DuckDB takes a CR in a quoted field for a line end
	if c.LineBreaks {
		o = append(o, "parallel = false")
	}
	if c.EmptyText {
		o = append(o, "allow_quoted_nulls = false")
	}
	return strings.Join(o, ", ")
}

// MaxLine is the longest line of a text file that can be split, in bytes; a longer one is rejected.
const MaxLine = 8 << 20
