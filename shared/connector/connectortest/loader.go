package connectortest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// loader takes a stream in, as the bronze step does.
type loader struct {
	t     *testing.T
	rig   Rig
	table *table
	limit connector.Limit
	pages int // of more than nothing

	silent bool              // nothing is acknowledged
	fresh  bool              // the next page is the first of a full refresh
	window *connector.Window // that is read again
}

func newLoader(t *testing.T, rig Rig) *loader {
	return &loader{t: t, rig: rig, table: newTable(rig.ID), limit: rig.Limit}
}

// pageTime is how long a page, or anything else that a source is asked, may take at most.
const pageTime = 3 * time.Minute

func (l *loader) open() connector.Source {
	l.t.Helper()
	src, err := l.tryOpen()
	if err != nil {
		l.discreet("open", err.Error())
		l.t.Fatalf("open the source: %v", err)
	}
	return src
}

// tryOpen opens a source, with the patience of the state machine.
func (l *loader) tryOpen() (src connector.Source, err error) {
	err = l.patiently(func(ctx context.Context) error {
		src, err = l.rig.Open(ctx)
		return err
	})
	return src, err
}

func (l *loader) close(src connector.Source) {
	l.t.Helper()
	if err := src.Close(); err != nil {
		l.t.Errorf("close: %v", err)
	}
}

// request asks for the page behind the table's position, in a folder of its own.
func (l *loader) request() connector.Request {
	return connector.Request{Stream: l.rig.Stream, Seen: l.table.at, Dir: l.t.TempDir(), Limit: l.limit, Refresh: l.fresh, Window: l.window}
}

// patiently repeats what fails for a time, as the state machine would.
func (l *loader) patiently(try func(ctx context.Context) error) error {
	for n := 0; ; n++ {
		ctx, cancel := context.WithTimeout(l.t.Context(), pageTime)
		err := try(ctx)
		late := ctx.Err() != nil
		cancel()
		if err == nil || late || n == 20 || !fault.KindOf(err).Retryable() {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// next gives the page behind the table's position.
func (l *loader) next(src connector.Source) (page connector.Page) {
	l.t.Helper()
	err := l.patiently(func(ctx context.Context) (err error) {
		page, err = src.Next(ctx, l.request())
		return err
	})
	if err != nil {
		l.discreet("Next", err.Error()+fault.HintOf(err))
		l.t.Fatalf("page %d, behind %s: %v (%s)", l.pages+1, position(l.table.at), err, fault.HintOf(err))
	}
	return page
}

// commit takes a page in; one that changed at the origin while it was read is thrown away, and false is told.
func (l *loader) commit(page connector.Page) bool {
	l.t.Helper()
	err := l.table.commit(l.t.Context(), page)
	var f *fault.Fault
	if errors.As(err, &f) && f.Kind.Retryable() {
		return false
	}
	if err != nil {
		l.t.Fatalf("page %d: %v", l.pages+1, err)
	}
	l.fresh = false
	if l.pages++; l.pages > maxPages {
		l.t.Fatalf("%d pages, and no end: an empty page must be Empty(); the position is %s", l.pages, position(l.table.at))
	}
	l.fits(page)
	return true
}

// maxPages is more than any of the tests needs.
const maxPages = 1000

// fits checks that a page kept to the limit of its rows.
func (l *loader) fits(page connector.Page) {
	l.t.Helper()
	var rows int64
	for _, p := range page.Parts {
		for _, f := range p.Files {
			rows += f.Rows
		}
	}
	if l.limit.Rows > 0 && rows > l.limit.Rows+l.rig.Batch && len(page.Items) != 1 {
		l.t.Errorf("page %d has %d rows, the limit is %d (and %d that come at once)", l.pages, rows, l.limit.Rows, l.rig.Batch)
	}
	if l.limit.Items > 0 && len(page.Items) > l.limit.Items {
		l.t.Errorf("page %d has %d items, the limit is %d", l.pages, len(page.Items), l.limit.Items)
	}
}

func (l *loader) acknowledge(src connector.Source, at connector.Position) {
	l.t.Helper()
	a, ok := src.(connector.Acknowledger)
	if !ok || at.Cursor == nil {
		return
	}
	if err := l.patiently(func(ctx context.Context) error { return a.Acknowledge(ctx, l.rig.Stream, at) }); err != nil {
		l.t.Fatalf("acknowledge %s: %v", position(at), err)
	}
}

// step takes one page in, from a fresh source, and tells whether there was one.
func (l *loader) step() bool {
	l.t.Helper()
	src := l.open()
	defer l.close(src)
	return l.stepOf(src)
}

func (l *loader) stepOf(src connector.Source) bool {
	l.t.Helper()
	page := l.next(src)
	if page.Empty() {
		if page.More {
			l.t.Errorf("page %d is empty, and says that there is more", l.pages+1)
		}
		return false
	}
	if l.commit(page) && !l.silent {
		l.acknowledge(src, l.table.at)
	}
	return true
}

// drain takes in what there is, each page from a fresh source.
func (l *loader) drain() {
	l.t.Helper()
	for l.step() {
	}
}

// holds checks that the table has these rows, each once.
func (l *loader) holds(ids []string) {
	l.t.Helper()
	if d := l.table.differences(ids); d != "" {
		l.t.Fatalf("after %d pages the table does not hold the %d rows of the origin: %s", l.pages, len(ids), d)
	}
}

// pending gives what lies beyond the table's position.
func (l *loader) pending() (b connector.Backlog) {
	l.t.Helper()
	src := l.open()
	defer l.close(src)
	err := l.patiently(func(ctx context.Context) (err error) {
		b, err = src.Pending(ctx, l.rig.Stream, l.table.at)
		return err
	})
	if err != nil {
		l.t.Fatalf("Pending behind %s: %v", position(l.table.at), err)
	}
	return b
}

// position is a position for a message.
func position(at connector.Position) string {
	switch {
	case at.Cursor != nil:
		return string(at.Cursor)
	case len(at.Items) == 0:
		return "the beginning"
	}
	newest := ""
	for k := range at.Items {
		newest = max(newest, k)
	}
	return "item " + newest
}
