package document

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/lakestep/lakestep/shared/fault"
)

// Problem is one mistake in a file and, in Hint, what to do about it ("" when the message says it).
type Problem struct {
	File    string
	Line    int
	Column  int
	Message string
	Hint    string
}

// String is "file:line:column: message (hint)".
func (p Problem) String() string {
	s := fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	return s
}

// Problems is the error of a document: everything that is wrong with it, one line each.
type Problems []Problem

// Error is one line per problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Collector gathers problems while a document is read.
type Collector struct{ list Problems }

// Add notes a problem.
func (c *Collector) Add(pos Position, hint, format string, args ...any) {
	c.list = append(c.list, Problem{File: pos.File, Line: pos.Line, Column: pos.Column, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// AddError notes the Problems in err's chain; any other error becomes a problem at pos.
func (c *Collector) AddError(pos Position, err error) {
	if ps, ok := errors.AsType[Problems](err); ok {
		c.list = append(c.list, ps...)
	} else if err != nil {
		c.Add(pos, "", "%s", err)
	}
}

// Len is the number of problems so far.
func (c *Collector) Len() int { return len(c.list) }

// Err is nil without problems, else an InvalidInput fault around Problems, sorted by file and place.
func (c *Collector) Err(op, object string) error {
	if len(c.list) == 0 {
		return nil
	}
	ps := append(Problems(nil), c.list...)
	sort.SliceStable(ps, func(i, j int) bool {
		a, b := ps[i], ps[j]
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	f := &fault.Fault{Kind: fault.InvalidInput, Op: op, Object: object, Err: ps}
	if len(ps) == 1 {
		f.Hint = ps[0].Hint
	} else {
		f.Hint = fmt.Sprintf("correct the %d places above; the first may have caused others", len(ps))
	}
	return f
}

// DidYouMean is a hint that names the candidate nearest to word, or lists all when none is near and they are few.
func DidYouMean(word string, candidates []string) string {
	best, dist := "", min(len(word), len(word)/3+2)
	for _, c := range candidates {
		if d := distance(word, c); d < dist {
			best, dist = c, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(candidates) == 0 || len(candidates) > 16 {
		return ""
	}
	return "known: " + strings.Join(candidates, ", ")
}

// distance is the number of letters to insert, delete or replace to make b of a (Levenshtein). Long words are
// not compared: their distance is their length.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

// badText finds bytes that are no UTF-8 text.
func badText(file string, data []byte) (Problem, bool) {
	line, column := 1, 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if (r == utf8.RuneError && size <= 1) || r == 0 {
			return Problem{File: file, Line: line, Column: column, Message: "a byte that is no UTF-8 text", Hint: "save the file as UTF-8"}, true
		}
		i += size
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	return Problem{}, false
}
