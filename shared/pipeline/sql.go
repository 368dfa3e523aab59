package pipeline

import "strings"

// flaw is a mistake in SQL that can be seen without a SQL engine.
type flaw struct {
	offset        int
	message, hint string
}

// checkQuery finds what makes a model unfit to stand in parentheses inside a larger statement.
func checkQuery(sql string) (flaw, bool) {
	return checkSQL(sql, true)
}

// checkExpression does the same for an expression. Comments are refused in it: they would swallow what stands behind it.
func checkExpression(sql string) (flaw, bool) {
	return checkSQL(sql, false)
}

func checkSQL(sql string, query bool) (flaw, bool) {
	var open []int // offsets of the parentheses that are not closed
	words := false
	for i := 0; i < len(sql); {
		end := skipQuoted(sql, i)
		switch {
		case end < 0 && strings.HasPrefix(sql[i:], "--"):
			end = len(sql)
		case end < 0:
			return flaw{i, "a quote or comment that is not closed", ""}, true
		}
		comment := strings.HasPrefix(sql[i:], "--") || strings.HasPrefix(sql[i:], "/*")
		if comment && !query {
			return flaw{i, "a comment inside an expression", "put it into a YAML comment"}, true
		}
		if end > i {
			words = words || !comment
			i = end
			continue
		}
		switch sql[i] {
		case '(':
			open = append(open, i)
		case ')':
			if len(open) == 0 {
				return flaw{i, "a ) without its (", ""}, true
			}
			open = open[:len(open)-1]
		case ';':
			return flaw{i, "a semicolon", "write one query or expression, without ; at its end"}, true
		}
		words = words || strings.IndexByte(" \t\r\n", sql[i]) < 0
		i++
	}
	if len(open) > 0 {
		return flaw{open[len(open)-1], "a ( that is not closed", ""}, true
	}
	if !words {
		return flaw{0, "no SQL in it", ""}, true
	}
	return flaw{}, false
}

// skipQuoted gives the end of the text, quoted identifier or comment that begins at i; i when none does, -1 when it has no
// end. A doubled quote is the end of one text and the beginning of the next, which comes to the same.
func skipQuoted(sql string, i int) int {
	find := func(skip int, mark string) int {
		n := strings.Index(sql[i+skip:], mark)
		if n < 0 {
			return -1
		}
		return i + skip + n + len(mark)
	}
	switch {
	case sql[i] == '\'' || sql[i] == '"':
		return find(1, sql[i:i+1])
	case strings.HasPrefix(sql[i:], "--"):
		return find(2, "\n")
	case strings.HasPrefix(sql[i:], "/*"):
		return find(2, "*/")
	}
	return i
}
