package connectortest

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
)

func numbers(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.Itoa(i + 1)
	}
	return ids
}

// Many rows come in pages that keep to their limits, and take no more memory than few.
func manyRows(l *loader) {
	n, limits := 50_000, []connector.Limit{{Rows: 10_000}, {Bytes: 256 << 10}}
	if long() {
		n, limits = 10_000_000, []connector.Limit{{Rows: 1_000_000}, {Bytes: 64 << 20}}
	}
	l.rig.Bulk(l.t, n)
	b := &bulk{l: l, there: make([]uint64, n/64+1), n: n}
	heap := watchHeap()
	for i := 0; b.page(limits[i%len(limits)]); i++ {
		heap.look()
	}
	peak := heap.stop()
	if b.rows != n {
		l.t.Errorf("%d of %d rows came", b.rows, n)
	}
	if peak > l.rig.Memory {
		l.t.Errorf("the heap grew by %d MiB, the bound is %d", peak>>20, l.rig.Memory>>20)
	}
	l.t.Logf("SCORE: %s: %d rows in %d pages, %.0f rows/s, heap %d MiB", l.t.Name(), n, l.pages, float64(n)/b.reading.Seconds(), peak>>20)
}

// bulk keeps of the rows only which of them were there.
type bulk struct {
	l       *loader
	there   []uint64 // bits
	n, rows int
	reading time.Duration
}

// page takes a page in, and tells whether there was one.
func (b *bulk) page(limit connector.Limit) bool {
	l := b.l
	l.t.Helper()
	l.limit = limit
	src, r := l.open(), l.request()
	defer l.close(src)
	defer os.RemoveAll(r.Dir)
	var heard progress
	r.Progress = heard.hear
	var page connector.Page
	start := time.Now()
	err := l.patiently(func(ctx context.Context) (err error) {
		page, err = src.Next(ctx, r)
		return err
	})
	b.reading += time.Since(start)
	if err != nil {
		l.t.Fatalf("page %d: %v", l.pages+1, err)
	}
	if page.Empty() {
		return false
	}
	if err := heard.check(); err != nil {
		l.t.Errorf("page %d: %v", l.pages+1, err)
	}
	b.take(page)
	l.table.at = moved(l.table.at, page)
	l.acknowledge(src, l.table.at)
	return true
}

func (b *bulk) take(page connector.Page) {
	l := b.l
	l.t.Helper()
	err := sound(page)
	for _, part := range page.Parts {
		if err == nil {
			err = each(l.t.Context(), part, func(r row) { b.row(r, page.Overlap != nil) })
		}
	}
	if err == nil && page.Verify != nil {
		err = page.Verify(l.t.Context())
	}
	if err != nil {
		l.t.Fatalf("page %d: %v", l.pages+1, err)
	}
	if l.pages++; l.pages > maxPages {
		l.t.Fatalf("%d pages, and no end", l.pages)
	}
	l.fits(page)
	b.small(page)
}

func (b *bulk) row(r row, mayRepeat bool) {
	text, _ := r.value(b.l.rig.ID)
	id, err := strconv.Atoi(text)
	if err != nil || id < 1 || id > b.n {
		b.l.t.Fatalf("a row with the id %q, which is no number from 1 to %d", text, b.n)
	}
	bit := uint64(1) << (id % 64)
	switch there := b.there[id/64]&bit != 0; {
	case !there:
		b.there[id/64] |= bit
		b.rows++
	case !mayRepeat:
		b.l.t.Fatalf("row %d came again on page %d", id, b.l.pages+1)
	}
}

// small checks that the files of a page keep to a limit in bytes, more or less: what a row takes differs from file to memory.
func (b *bulk) small(page connector.Page) {
	var size int64
	for _, p := range page.Parts {
		for _, f := range p.Files {
			if info, err := os.Stat(f.Path); err == nil {
				size += info.Size()
			}
		}
	}
	if max := 2*b.l.limit.Bytes + 16<<20; b.l.limit.Bytes > 0 && size > max && len(page.Items) != 1 {
		b.l.t.Errorf("the files of page %d have %d bytes, the limit is %d", b.l.pages, size, b.l.limit.Bytes)
	}
}

// progress is what was heard of a page on its way.
type progress struct {
	mu    sync.Mutex
	last  connector.Progress
	wrong error
}

func (p *progress) hear(now connector.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Rows < p.last.Rows || now.Bytes < p.last.Bytes {
		p.wrong = fmt.Errorf("the progress goes back, from %+v to %+v", p.last, now)
	}
	p.last = now
}

func (p *progress) check() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wrong
}

// heap watches what the heap holds.
type heap struct {
	base uint64
	peak atomic.Uint64
	done chan struct{}
	over sync.WaitGroup
}

// watchHeap looks all the time, also in the middle of pages, at what was in use after the newest garbage collection.
func watchHeap() *heap {
	runtime.GC()
	h := &heap{base: live(), done: make(chan struct{})}
	h.over.Go(func() {
		for {
			select {
			case <-h.done:
				return
			case <-time.After(20 * time.Millisecond):
				h.note()
			}
		}
	})
	return h
}

func live() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func (h *heap) note() {
	if now := live(); now > h.base {
		for {
			old := h.peak.Load()
			if now-h.base <= old || h.peak.CompareAndSwap(old, now-h.base) {
				return
			}
		}
	}
}

// look collects garbage, and looks.
func (h *heap) look() {
	runtime.GC()
	h.note()
}

// stop gives the most that the heap had grown by.
func (h *heap) stop() uint64 {
	h.look()
	close(h.done)
	h.over.Wait()
	return h.peak.Load()
}
