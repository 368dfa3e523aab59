package connectortest

import (
	"context"
	"errors"
	"sync"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// few is how many rows most tests add at once.
const few = 20

// A run dies behind every page, and goes on from the position alone; later rows come, and those before do not come again.
func everything(l *loader) {
	ids := l.rig.Append(l.t, few)
	if b := l.pending(); b.Items == 0 {
		l.t.Errorf("Pending says that there is nothing before the first page")
	}
	l.drain()
	l.holds(ids)
	if l.pages < 2 {
		l.t.Errorf("%d rows came in one page: the rig's limit is too large, or not kept to", few)
	}
	if b := l.pending(); b.Items != 0 {
		l.t.Errorf("Pending says %+v behind the last page", b)
	}
	if l.step() {
		l.t.Error("there is a page behind the last one")
	}
	ids = append(ids, l.rig.Append(l.t, few)...)
	if b := l.pending(); b.Items == 0 {
		l.t.Errorf("Pending says that there is nothing when rows have come")
	}
	l.drain()
	l.holds(ids)
}

func emptyOrigin(l *loader) {
	l.drain()
	l.holds(nil)
	if b := l.pending(); b.Items != 0 {
		l.t.Errorf("Pending says %+v of an empty origin", b)
	}
	ids := l.rig.Append(l.t, few)
	l.drain()
	l.holds(ids)
}

// A process may also live on.
func oneSource(l *loader) {
	ids := l.rig.Append(l.t, few)
	src := l.open()
	defer func() { l.close(src) }()
	for range 3 {
		for l.stepOf(src) {
		}
		l.holds(ids)
		ids = append(ids, l.rig.Append(l.t, few/2)...)
	}
	for l.stepOf(src) {
	}
	l.holds(ids)
}

// Every page is read, thrown away, and asked for again.
func crashBefore(l *loader) {
	ids := l.rig.Append(l.t, few)
	for more := true; more; more = l.step() {
		src := l.open()
		l.next(src)
		l.close(src)
	}
	l.holds(ids)
}

// The source never hears that a page is safe.
func crashAfter(l *loader) {
	ids := l.rig.Append(l.t, few)
	l.silent = true
	l.drain()
	l.holds(ids)
	ids = append(ids, l.rig.Append(l.t, few)...)
	l.drain()
	l.holds(ids)
}

// An acknowledgement comes a page late, and again when newer ones have come: nothing may go back for it, or be let go of too early.
func lateAcknowledgements(l *loader) {
	ids := l.rig.Append(l.t, few)
	l.silent = true
	first, last := connector.Position{}, connector.Position{}
	for {
		src := l.open()
		l.acknowledge(src, last)
		l.acknowledge(src, first)
		last = l.table.at
		more := l.stepOf(src)
		l.close(src)
		if !more {
			break
		}
		if first.Cursor == nil {
			first = l.table.at
		}
	}
	l.holds(ids)
	src := l.open()
	l.acknowledge(src, l.table.at)
	l.acknowledge(src, first)
	l.close(src)
	ids = append(ids, l.rig.Append(l.t, few)...)
	l.drain()
	l.holds(ids)
}

// A page is asked for twice of one source; the second answer counts, or the first.
func samePageTwice(l *loader) {
	ids := l.rig.Append(l.t, few)
	for second := true; ; second = !second {
		src := l.open()
		a, b := l.next(src), l.next(src)
		if a.Empty() != b.Empty() {
			l.t.Errorf("of page %d, asked for twice, one is empty: the first %v, the second %v", l.pages+1, a.Empty(), b.Empty())
		}
		if second {
			a = b
		}
		if a.Empty() {
			l.close(src)
			break
		}
		l.commit(a)
		l.acknowledge(src, l.table.at)
		l.close(src)
	}
	l.holds(ids)
}

// An old invocation may still run when the next one starts. One of both may be told to wait; only one of both commits.
func twoAtOnce(l *loader) {
	ids := l.rig.Append(l.t, few)
	for range 3 {
		var pages [2]connector.Page
		var errs [2]error
		var both sync.WaitGroup
		sources := [2]connector.Source{l.open(), l.open()}
		requests := [2]connector.Request{l.request(), l.request()}
		for i := range 2 {
			both.Go(func() {
				ctx, cancel := context.WithTimeout(l.t.Context(), pageTime)
				defer cancel()
				pages[i], errs[i] = sources[i].Next(ctx, requests[i])
			})
		}
		both.Wait()
		taken := false
		for i, err := range errs {
			if err != nil {
				l.fails("one of two that read at once", err, fault.Unavailable, fault.Throttled)
				continue
			}
			if !taken && !pages[i].Empty() {
				taken = l.commit(pages[i])
			}
		}
		for _, src := range sources {
			l.close(src)
		}
	}
	l.drain()
	l.holds(ids)
}

func arriving(l *loader) {
	ids := l.rig.Append(l.t, few)
	for range 3 {
		src, r := l.open(), l.request()
		type answer struct {
			page connector.Page
			err  error
		}
		done := make(chan answer, 1)
		go func() {
			ctx, cancel := context.WithTimeout(l.t.Context(), pageTime)
			defer cancel()
			page, err := src.Next(ctx, r)
			done <- answer{page, err}
		}()
		ids = append(ids, l.rig.Append(l.t, few/2)...)
		a := <-done
		if a.err != nil {
			l.fails("a page while rows arrive", a.err, fault.Unavailable, fault.Throttled)
		} else if !a.page.Empty() {
			l.commit(a.page)
		}
		l.close(src)
	}
	l.drain()
	l.holds(ids)
}

// The schema changes when some rows are in the table, and some are not.
func schemaChange(l *loader) {
	ids := l.rig.Append(l.t, few)
	l.step()
	added, column := l.rig.SchemaChange(l.t, few)
	l.drain()
	l.holds(append(ids, added...))
	with := map[string]bool{}
	for _, r := range l.table.rows {
		if _, ok := r.value(column); ok {
			id, _ := r.value(l.rig.ID)
			with[id] = true
		}
	}
	for _, id := range added {
		if !with[id] {
			l.t.Fatalf("row %s came without a value in the new column %s", id, column)
		}
	}
	if len(with) != len(added) {
		l.t.Errorf("%d rows have a value in the new column %s, %d were given one", len(with), column, len(added))
	}
	ids = append(append(ids, added...), l.rig.Append(l.t, few)...)
	l.drain()
	l.holds(ids)
}

// The table reads its source from the beginning, whatever was acknowledged: here into an empty one, so that everything must come once.
func refresh(l *loader) {
	ids := l.rig.Append(l.t, few)
	l.drain()
	l.holds(ids)
	l.table, l.fresh = newTable(l.rig.ID), true
	l.drain()
	l.holds(ids)
	ids = append(ids, l.rig.Append(l.t, few)...)
	l.drain()
	l.holds(ids)
}

// A range is read again as one page, and the position stays where it is.
func window(l *loader) {
	ids := l.rig.Append(l.t, few)
	w, within := l.rig.Window(l.t, few)
	ids = append(append(ids, within...), l.rig.Append(l.t, few)...)
	l.step()
	for range 2 { // in the middle, and at the end
		src := l.open()
		l.window = &w
		page := l.next(src)
		l.window = nil
		l.close(src)
		if page.Cursor != nil || len(page.Items) > 0 {
			l.t.Errorf("the page of a window moves the position: cursor %s, %d items", page.Cursor, len(page.Items))
		}
		again := newTable(l.rig.ID)
		if err := again.commit(l.t.Context(), page); err != nil {
			l.t.Fatalf("the page of window %+v: %v", w, err)
		}
		if d := again.differences(within); d != "" {
			l.t.Errorf("the page of window %+v does not hold its %d rows: %s", w, len(within), d)
		}
		l.drain()
	}
	l.holds(ids)
}

func unknownType(l *loader) {
	ids := l.rig.Append(l.t, few)
	texts, column := l.rig.UnknownType(l.t, few)
	for id := range texts {
		ids = append(ids, id)
	}
	l.drain()
	l.holds(ids)
	for _, r := range l.table.rows {
		id, _ := r.value(l.rig.ID)
		got, _ := r.value(column)
		if want, ok := texts[id]; ok && got != want {
			l.t.Errorf("row %s has %s %q, want %q", id, column, got, want)
		}
	}
}

func malformed(l *loader) {
	ids := l.rig.Append(l.t, few)
	l.rig.Malformed(l.t, 3)
	ids = append(ids, l.rig.Append(l.t, few)...)
	l.drain()
	l.holds(ids)
	if l.table.bad != 3 {
		l.t.Errorf("%d bad lines were reported, want 3", l.table.bad)
	}
	if l.step() {
		l.t.Error("what is malformed comes again")
	}
}

var errNoExplorer = errors.New("the source is no connector.Explorer")
