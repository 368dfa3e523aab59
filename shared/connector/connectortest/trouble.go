package connectortest

import (
	"context"
	"runtime"
	"strings"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// prompt is how soon a source must give up when it is told to.
const prompt = 5 * time.Second

// interrupt asks for a page and takes the word back after a while (0: before); ok tells that the page was there sooner.
func (l *loader) interrupt(src connector.Source, after time.Duration) (ok bool) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.t.Context())
	defer cancel()
	done := make(chan error, 1)
	time.AfterFunc(after, cancel)
	if after == 0 {
		cancel()
	}
	r := l.request()
	go func() {
		_, err := src.Next(ctx, r)
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil && after == 0 {
			l.t.Error("Next gave a page for a context that was cancelled before")
		}
		if err != nil {
			l.fails("Next, cancelled after "+after.String(), err, fault.Unavailable)
		}
		return err == nil
	case <-time.After(after + prompt):
		l.t.Fatalf("Next, cancelled after %s, did not return within %s:\n%s", after, prompt, stacks())
		return false
	}
}

// A page is given up at several moments; the next try is whole, of the same source or of another.
func cancelled(l *loader) {
	var ids []string
	if l.rig.Bulk != nil {
		l.rig.Bulk(l.t, 5000)
		ids, l.limit = numbers(5000), connector.Limit{}
	} else {
		ids = l.rig.Append(l.t, few)
	}
	src := l.open()
	for _, after := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond} {
		l.interrupt(src, after)
	}
	l.stepOf(src)
	l.close(src)
	for _, after := range []time.Duration{0, 2 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond} {
		src := l.open()
		l.interrupt(src, after)
		l.close(src)
	}
	l.drain()
	l.holds(ids)
}

func slow(l *loader) {
	ids := l.rig.Append(l.t, few)
	l.step()
	src := l.open()
	restore := l.rig.Slow(l.t)
	if l.interrupt(src, 300*time.Millisecond) {
		l.t.Error("the page came at once: the rig's Slow is not slow")
	}
	l.close(src)
	restore()
	l.drain()
	l.holds(ids)
}

// refused asks for a page that cannot come now, of a source that was open before (or is opened now), and gives the error: nil when it came.
func (l *loader) refused(src connector.Source) (page connector.Page, err error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), pageTime)
	defer cancel()
	if src == nil {
		if src, err = l.rig.Open(ctx); err != nil {
			return page, err
		}
		defer src.Close() // what it says now is of no use
	}
	page, err = src.Next(ctx, l.request())
	if ctx.Err() != nil {
		l.t.Fatalf("Next took more than %s", pageTime)
	}
	return page, err
}

// unhappy checks that the checks tell of a source that cannot be read, and what to do.
func (l *loader) unhappy() {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), pageTime)
	defer cancel()
	src, err := l.rig.Open(ctx)
	if err != nil {
		return // then nobody comes to ask
	}
	defer src.Close()
	e, ok := src.(connector.Explorer)
	if !ok {
		l.t.Fatal(errNoExplorer)
	}
	findings := e.Check(ctx)
	for _, f := range findings {
		l.discreet("Check", f.Detail+f.Hint)
		if !f.OK {
			if f.Hint == "" {
				l.t.Errorf("the finding %q (%s) has no hint", f.What, f.Detail)
			}
			return
		}
	}
	l.t.Errorf("all is well, Check says, when nothing can be read: %+v", findings)
}

func unavailable(l *loader) {
	ids := l.rig.Append(l.t, few)
	src := l.open()
	l.stepOf(src)
	restore := l.rig.Break(l.t)
	_, err := l.refused(src)
	l.fails("Next of an origin that went away", err, fault.Unavailable, fault.Throttled)
	_, err = l.refused(nil)
	l.fails("Next of an origin that is not there", err, fault.Unavailable, fault.Throttled)
	l.unhappy()
	restore()
	src.Close() // its connection may be gone
	ids = append(ids, l.rig.Append(l.t, few)...)
	l.drain()
	l.holds(ids)
}

// A source may get new credentials on its own, and go on. If not, the fault says that a retry is of no use.
func expired(l *loader) {
	ids := l.rig.Append(l.t, few)
	src := l.open()
	l.stepOf(src)
	renew := l.rig.ExpireAuth(l.t)
	var failed bool
	for i, s := range []connector.Source{src, nil} {
		page, err := l.refused(s)
		what := []string{"Next when the credentials expired", "Next of a source that was opened with expired credentials"}[i]
		if err != nil {
			failed = true
			l.fails(what, err, fault.InvalidInput)
			if fault.HintOf(err) == "" {
				l.t.Errorf("%s: the fault has no hint: %v", what, err)
			}
		} else if s != nil && !page.Empty() {
			l.commit(page)
		}
	}
	if failed {
		l.unhappy()
	}
	renew()
	src.Close()
	l.drain()
	l.holds(ids)
}

// Credentials that were kept and are refused now are worth one more try, which reads them anew: nobody waits until they are too old to be kept.
func rotated(l *loader) {
	ids := l.rig.Append(l.t, few)
	src := l.open()
	l.stepOf(src)
	l.rig.Rotate(l.t)
	failed := 0
	for i, s := range []connector.Source{src, nil, nil} {
		what := []string{"Next after a rotation", "Next of a new source after a rotation", "the repetition"}[i]
		page, err := l.refused(s)
		switch {
		case err != nil && failed > 0:
			l.t.Fatalf("%s: the credentials are refused again: %v", what, err)
		case err != nil:
			failed++
			l.fails(what, err, fault.Unavailable)
		case s != nil && !page.Empty():
			l.commit(page)
		}
	}
	src.Close() // its session may be over
	l.drain()
	l.holds(ids)
}

// What sources leave running adds up from one to the next.
func closes(l *loader) {
	l.rig.Append(l.t, few)
	cycle := func() {
		src := l.open()
		l.next(src)
		l.close(src)
		src = l.open()
		l.interrupt(src, 2*time.Millisecond)
		l.close(src)
		l.close(l.open()) // of which nothing was asked
	}
	cycle()
	before := settled(1 << 20)
	for range 4 {
		cycle()
	}
	if after := settled(before); after > before {
		l.t.Errorf("%d goroutines more after 12 sources that were closed:\n%s", after-before, stacks())
	}
}

// settled is the number of goroutines, once it is small enough or for some time does not fall.
func settled(enough int) int {
	n := runtime.NumGoroutine()
	for wait := 0; wait < 50 && (n > enough || wait < 5); wait++ {
		time.Sleep(50 * time.Millisecond)
		now := runtime.NumGoroutine()
		if now < n {
			wait = 0
		}
		n = min(n, now)
	}
	return n
}

// stacks are what all goroutines do.
func stacks() string {
	b := make([]byte, 1<<20)
	return strings.TrimSpace(string(b[:runtime.Stack(b, true)]))
}
