package asl

import (
	"math"
	"sort"
	"time"
)

// fan is a set of paths that run side by side.
type fan struct {
	state       *state
	n           int
	concurrency int64 // how many at once; 0 is all
	tolerated   int   // failures that do not fail the whole
	threshold   bool  // too many failures have a name of their own
	items       []any // of a Map; nil for a Parallel
	apart       bool  // each item is an execution of its own, which this one's history does not show
	body        func(i int, inner place) result
	paths       []branch // those that started, when the walk logs
}

// branch is one path of a fan, as far as it went.
type branch struct {
	key   string
	start int // position in the history
	end   result
}

// mapItems runs a Map.
func (w *walker) mapItems(s *state, input any, at place) result {
	items, err := w.items(s, input, at)
	if err != nil {
		return w.fail(s, at, err)
	}
	f := fan{state: s, n: len(items), items: items, apart: s.each.distributed}
	if f.concurrency, err = w.concurrency(s, input, at); err != nil {
		return w.fail(s, at, err)
	}
	w.note("MapStateStarted", at.op, at.pos, neutral)
	if f.tolerated, f.threshold, err = w.tolerance(s, input, len(items), at); err != nil {
		return w.fail(s, at, err)
	}
	f.body = func(i int, inner place) result {
		item := items[i]
		if s.each.selector != nil {
			filled, err := s.each.selector.fill(w.env(s, input, inner))
			if err != nil {
				return w.fail(s, inner, err)
			}
			item = filled
		}
		return w.run(s.each.processor, item, inner)
	}
	if f.apart {
		w.note("MapRunStarted", at.op, at.pos, neutral)
	}
	return w.fanOut(f, at)
}

// items gives what a Map runs over.
func (w *walker) items(s *state, input any, at place) ([]any, error) {
	v, text := input, "$"
	if l := s.each.items; l != nil && l.path != nil {
		found, err := l.path.eval(w.env(s, input, at))
		if err != nil {
			return nil, runtimeError("Invalid path '%s' : %v", l.path.text, err)
		}
		v, text = found, l.path.text
	}
	list, ok := v.([]any)
	if !ok {
		return nil, runtimeError("Reference path \"%s\" must point to array.", text)
	}
	return list, nil
}

func (w *walker) concurrency(s *state, input any, at place) (int64, error) {
	if s.each.concurrency == nil {
		return 0, nil
	}
	n, err := w.wholeNumber(s, s.each.concurrency, input, at)
	if err == nil && n < 0 {
		err = runtimeError("MaxConcurrency must not be negative.")
	}
	return n, err
}

// tolerance gives how many items may fail, and whether the definition says so.
func (w *walker) tolerance(s *state, input any, n int, at place) (int, bool, error) {
	count, percent := s.each.toleratedCount, s.each.toleratedPercent
	tolerated := 0
	if percent != nil {
		f, err := w.percentage(s, percent, input, at)
		if err != nil {
			return 0, false, err
		}
		tolerated = int(math.Floor(float64(n) * f / 100))
	}
	if count != nil {
		c, err := w.wholeNumber(s, count, input, at)
		if err != nil {
			return 0, false, err
		}
		if percent == nil || int(c) < tolerated {
			tolerated = int(min(c, math.MaxInt32))
		}
	}
	return tolerated, count != nil || percent != nil, nil
}

// moment is a point in the history at which a slot is free or a path failed.
type moment struct {
	pos   int
	now   time.Time
	index int
	err   *stateError
}

// fanOut runs the paths and joins them. It replays a pool of slots in the order of the history: path i starts
// when the first of the busy slots was freed, and the failure that came first in the history is the one that
// counts, whatever came after it. So a longer history never changes what a shorter one has decided.
func (w *walker) fanOut(f fan, at place) result {
	commands, trace, log := len(w.commands), len(w.trace), len(w.log)
	w.noteFirst(f, at)
	outputs, failures := make([]any, 0, f.n), []moment{}
	var slots []moment
	blocked, join := false, at
	for i := range f.n {
		start := at
		if f.waits(i) {
			first := freeSlot(slots)
			if first < 0 || f.stopped(failures, slots[first].pos) {
				blocked = blocked || first < 0
				break
			}
			start.pos, start.now = slots[first].pos, slots[first].now
			slots = append(slots[:first], slots[first+1:]...)
		}
		r := w.startPath(&f, i, start)
		switch {
		case r.blocked:
			blocked = true
			slots = append(slots, moment{pos: math.MaxInt})
			continue
		case r.err != nil:
			failures = append(failures, moment{pos: r.pos, now: r.now, index: i, err: r.err})
		default:
			outputs = append(outputs, r.output)
			join.moveTo(r.pos, r.now)
		}
		slots = append(slots, moment{pos: r.pos, now: r.now})
	}
	if len(failures) > f.tolerated {
		return w.fanFailed(f, failures, at.op, commands, trace, log)
	}
	if blocked {
		return result{blocked: true}
	}
	for _, m := range failures {
		join.moveTo(m.pos, m.now)
	}
	w.noteJoined(f, join)
	return join.done(outputs, "")
}

// waits tells whether path i waits for another to end before it starts.
func (f *fan) waits(i int) bool { return f.concurrency > 0 && int64(i) >= f.concurrency }

func (w *walker) startPath(f *fan, i int, start place) result {
	inner := start
	inner.op = itemKey(start.op, i)
	frame := Frame{State: f.state.name, Index: i, Branch: f.items == nil}
	if !frame.Branch {
		frame.Item = f.items[i]
	}
	inner.frames = append(append([]Frame(nil), start.frames...), frame)
	if f.waits(i) {
		w.noteItem(f, "Started", inner.op, start.pos, opens)
	}
	if f.apart {
		w.hidden++
		defer func() { w.hidden-- }()
	}
	log := len(w.log)
	r := f.body(i, inner)
	if w.logging {
		f.paths = append(f.paths, branch{inner.op, start.pos, r})
	}
	switch {
	case r.blocked:
	case r.err != nil: // the service ends the item before what it has inside
		w.noteItem(f, "Failed", inner.op, r.pos, neutral)
		w.abort(log, inner.op, r.pos)
	default:
		w.noteItem(f, "Succeeded", inner.op, r.pos, closes)
	}
	return r
}

func itemKey(op string, i int) string { return op + "[" + string(number(int64(i))) + "]" }

// noteItem logs what happens to a Map item; a Parallel's branches and the items of a distributed Map have no events.
func (w *walker) noteItem(f *fan, what, key string, pos int, e effect) {
	if w.logging && f.items != nil && !f.apart {
		w.note("MapIteration"+what, key, pos, e)
	}
}

// noteFirst logs the start of the items that do not wait.
func (w *walker) noteFirst(f fan, at place) {
	for i := 0; w.logging && i < f.n && !f.waits(i); i++ {
		w.noteItem(&f, "Started", itemKey(at.op, i), at.pos, opens)
	}
}

func (w *walker) noteJoined(f fan, join place) {
	if f.apart {
		w.note("MapRunSucceeded", join.op, join.pos, neutral)
	}
	w.note(f.state.kind+"StateSucceeded", join.op, join.pos, neutral)
}

// stopped tells whether the whole had failed before a slot was freed at pos.
func (f *fan) stopped(failures []moment, pos int) bool {
	n := 0
	for _, m := range failures {
		if m.pos <= pos {
			n++
		}
	}
	return n > f.tolerated
}

// fanFailed ends the whole at the failure that was one too many, and takes back what happened after it.
func (w *walker) fanFailed(f fan, failures []moment, op string, commands, trace, log int) result {
	sort.SliceStable(failures, func(i, j int) bool { return failures[i].pos < failures[j].pos })
	last := failures[f.tolerated]
	w.commands = w.commands[:commands]
	kept := w.trace[:trace]
	for _, t := range w.trace[trace:] {
		if t.pos <= last.pos {
			kept = append(kept, t)
		}
	}
	w.trace = kept
	w.noteFailed(f, op, log, last.pos)
	err := last.err
	if f.threshold && err.Name != errRuntime {
		err = &stateError{Name: errToleratedExceeded, thrown: true, Cause: "The specified tolerated failure threshold was exceeded"}
	}
	return result{err: err, inside: true, pos: last.pos, now: last.now}
}

// noteFailed logs, at the failure, the end of the paths that were still on their way.
func (w *walker) noteFailed(f fan, op string, log, pos int) {
	w.cutLog(log, pos)
	for _, p := range f.paths {
		if p.start <= pos && (p.end.blocked || p.end.pos > pos) {
			w.noteItem(&f, "Aborted", p.key, pos, neutral)
			w.abort(log, p.key, pos)
		}
	}
	if f.apart {
		w.note("MapRunFailed", op, pos, neutral)
	}
}

// freeSlot is the slot that was freed first; -1 when all are busy.
func freeSlot(slots []moment) int {
	first := -1
	for i, s := range slots {
		if s.pos != math.MaxInt && (first < 0 || s.pos < slots[first].pos) {
			first = i
		}
	}
	return first
}
