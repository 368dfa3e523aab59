package connectortest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/lakestep/lakestep/shared/connector"
)

// table is what a stream is loaded into: rows, and the position that was committed with them.
type table struct {
	id      string // the column
	at      connector.Position
	rows    []row
	times   map[string]int // by id
	digests map[string]int // how often a row stands in the table
	bad     int
	commits int
}

func newTable(id string) *table {
	return &table{id: id, times: map[string]int{}, digests: map[string]int{}}
}

// commit takes a page in, its rows and its position, or nothing of it.
func (tb *table) commit(ctx context.Context, page connector.Page) error {
	if err := sound(page); err != nil {
		return err
	}
	var rows []row
	met := map[string]int{} // of this page
	for _, part := range page.Parts {
		var wrong error
		err := each(ctx, part, func(r row) {
			if page.Overlap != nil {
				wrong = errors.Join(wrong, within(r, *page.Overlap))
				d := digest(r)
				if met[d]++; met[d] <= tb.digests[d] {
					return // the table has it
				}
			}
			rows = append(rows, slices.Clone(r))
		})
		if err := errors.Join(err, wrong); err != nil {
			return err
		}
	}
	n, err := bad(page)
	if err != nil {
		return err
	}
	if page.Verify != nil {
		if err := page.Verify(ctx); err != nil {
			return err
		}
	}
	for _, r := range rows {
		if op, _ := r.value("_op"); op == "truncate" { // it is of no row: what was there is gone
			continue
		}
		id, ok := r.value(tb.id)
		if !ok {
			return fmt.Errorf("a row without %s: %v", tb.id, r)
		}
		tb.times[id]++
		tb.digests[digest(r)]++
	}
	tb.rows, tb.bad, tb.at = append(tb.rows, rows...), tb.bad+n, moved(tb.at, page)
	tb.commits++
	return nil
}

// moved is the position behind a page.
func moved(at connector.Position, page connector.Page) connector.Position {
	if page.Cursor != nil {
		return connector.Position{Cursor: page.Cursor}
	}
	if len(page.Items) == 0 {
		return at
	}
	items := maps.Clone(at.Items)
	if items == nil {
		items = map[string]connector.Item{}
	}
	for _, it := range page.Items {
		items[it.Key] = it
	}
	return connector.Position{Items: items}
}

// maxCursor is the size of a cursor that still is small, in bytes: it stands in every commit.
const maxCursor = 1 << 20

// sound checks what a page says of itself.
func sound(page connector.Page) error {
	switch {
	case page.Cursor != nil && len(page.Items) > 0:
		return errors.New("a page with items and a cursor")
	case page.Cursor != nil && !json.Valid(page.Cursor):
		return fmt.Errorf("the cursor is no JSON: %q", page.Cursor)
	case len(page.Cursor) > maxCursor:
		return fmt.Errorf("a cursor of %d bytes", len(page.Cursor))
	}
	for _, it := range page.Items {
		if it.Key == "" || it.SHA256 == "" {
			return fmt.Errorf("an item without key or digest: %+v", it)
		}
	}
	return nil
}

// digest tells rows apart by all that the source says of them.
func digest(r row) string {
	var b strings.Builder
	for _, c := range r {
		fmt.Fprintf(&b, "%s=%d:%s", c.column, len(c.text), c.text)
	}
	return b.String()
}

// within checks that a row lies where the page says that it may overlap: the loader looks for known rows there only.
func within(r row, o connector.Overlap) error {
	if o.From == "" {
		return nil
	}
	text, ok := r.value(o.Column)
	if !ok {
		return fmt.Errorf("a row of a page that overlaps has no %s: %v", o.Column, r)
	}
	if below(text, o.From) {
		return fmt.Errorf("a row with %s %s in a page that overlaps from %s", o.Column, text, o.From)
	}
	return nil
}

// below compares texts as numbers where they are, else digit by digit: the signs in which texts of one instant may differ do not count.
func below(a, b string) bool {
	x, err1 := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	if err1 == nil && err2 == nil {
		return x < y
	}
	a, b = digits(a), digits(b)
	n := min(len(a), len(b))
	return a[:n] < b[:n]
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("-: TZ+.", r) {
			return -1
		}
		return r
	}, s)
}

// differences says how the table differs from these rows, each once: "" when it does not.
func (tb *table) differences(ids []string) string {
	var lost, twice, strange []string
	want := map[string]bool{}
	for _, id := range ids {
		want[id] = true
		switch n := tb.times[id]; {
		case n == 0:
			lost = append(lost, id)
		case n > 1:
			twice = append(twice, fmt.Sprintf("%s x%d", id, n))
		}
	}
	for id := range tb.times {
		if !want[id] {
			strange = append(strange, id)
		}
	}
	slices.Sort(strange)
	var out []string
	for what, list := range map[string][]string{"lost": lost, "more than once": twice, "not of the origin": strange} {
		if len(list) > 0 {
			out = append(out, fmt.Sprintf("%d %s: %.10q", len(list), what, list[:min(len(list), 10)]))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}
