package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"golang.org/x/term"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/host/local"
)

// progress shows a run as it goes: on a terminal a table that is drawn again and again, elsewhere a line for each step that ended.
type progress struct {
	mu      sync.Mutex
	w       io.Writer
	live    bool
	quiet   bool
	width   int // of the terminal
	height  int
	drawn   int // lines on the screen
	rows    map[string]*progressRow
	order   []string
	started time.Time
	done    chan struct{}
	wait    sync.WaitGroup
}

// progressRow is a table on its way.
type progressRow struct {
	step              string
	state             string
	began             time.Time     // the step that runs
	spent             time.Duration // in steps that ended
	read, quarantined int64
	score, rate       string
	reading           string    // how far a page has come
	told              time.Time // when it was last said, where there is no live display
}

// stepResult holds what steps say of themselves; each fills some of it.
type stepResult struct {
	Table       string  `json:"table"`
	Status      string  `json:"status"`
	Why         string  `json:"why"`
	Read        int64   `json:"read"`
	Accepted    int64   `json:"accepted"`
	Rejected    int64   `json:"rejected"`
	Known       int64   `json:"known"`
	Quarantined int64   `json:"quarantined"`
	Superseded  int64   `json:"superseded"`
	Stale       int64   `json:"stale"`
	Inserted    int64   `json:"inserted"`
	Updated     int64   `json:"updated"`
	Deleted     int64   `json:"deleted"`
	Items       int     `json:"items"`
	Bytes       int64   `json:"bytes"`
	Verdict     string  `json:"verdict"`
	Score       float64 `json:"score"`
	Checks      int     `json:"checks"`
	Summary     string  `json:"summary"`
	Version     int64   `json:"version"`
}

func newProgress(s streams) *progress {
	p := &progress{w: s.err, rows: map[string]*progressRow{}, quiet: s.json, done: make(chan struct{}), started: time.Now()}
	if f, ok := s.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) && !s.json {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w >= 60 && h >= 5 {
			p.live, p.width, p.height = true, w, h
		}
	}
	return p
}

// begin prints the headline and starts the clock of a live display.
func (p *progress) begin(title string) {
	if p.quiet {
		return
	}
	fmt.Fprintln(p.w, title)
	if !p.live {
		return
	}
	p.wait.Add(1)
	go func() {
		defer p.wait.Done()
		tick := time.NewTicker(150 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-p.done:
				return
			case <-tick.C:
				p.mu.Lock()
				p.draw()
				p.mu.Unlock()
			}
		}
	}()
}

// stop draws the last state and leaves it on the screen.
func (p *progress) stop() {
	close(p.done)
	p.wait.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live {
		p.draw()
	}
}

// observe takes the runner's notices.
func (p *progress) observe(e local.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Kind {
	case local.TaskStarted:
		var in struct {
			Table string `json:"table"`
		}
		if json.Unmarshal(e.Raw, &in) == nil && in.Table != "" {
			r := p.row(in.Table)
			r.step, r.state, r.began = e.Step, "running", e.Time
		}
	case local.TaskFinished:
		p.finished(e)
	case local.RetryPlanned:
		p.line(e.Time, e.State, "", fmt.Sprintf("retry %d in %s", e.Attempt, e.At.Sub(e.Time).Round(time.Millisecond)))
	}
}

// reading takes word of a page on its way; without a live display it says so now and then.
func (p *progress) reading(name string, at connector.Progress) {
	text := some(at.Rows, "row") + ", " + size(at.Bytes)
	if at.Position != "" {
		text += ", at " + at.Position
	}
	if at.Left > 0 {
		text += ", about " + at.Left.Round(time.Second).String() + " left"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r, now := p.row(name), time.Now()
	r.reading = text
	if r.told.IsZero() {
		r.told = now
	}
	if now.Sub(r.told) >= tellEvery {
		r.told = now
		p.line(now, "bronze", name, "reading: "+text)
	}
}

// tellEvery is how often a long page is spoken of where there is no live display.
const tellEvery = 10 * time.Second

func (p *progress) row(name string) *progressRow {
	r, ok := p.rows[name]
	if !ok {
		r = &progressRow{}
		p.rows[name] = r
		p.order = append(p.order, name)
	}
	return r
}

func (p *progress) finished(e local.Event) {
	var out stepResult
	if e.Err == nil {
		if err := json.Unmarshal(e.Raw, &out); err != nil {
			return
		}
	}
	name := out.Table
	if name == "" {
		name = tableOf(e)
	}
	if e.Err != nil {
		if name != "" {
			p.row(name).state = "failed: " + string(fault.KindOf(e.Err))
		}
		p.line(e.Time, e.Step, name, "failed: "+e.Err.Error())
		return
	}
	if name == "" {
		return
	}
	r := p.row(name)
	r.reading, r.told = "", time.Time{}
	took := e.Time.Sub(r.began)
	r.spent += took
	p.line(e.Time, e.Step, name, r.take(e.Step, out, max(took.Seconds(), 0.001)))
}

// tableOf is the Map item that a failed step was working on.
func tableOf(e local.Event) string {
	for i := len(e.Path) - 1; i >= 0; i-- {
		if s, ok := e.Path[i].Item.(string); ok {
			return s
		}
	}
	return ""
}

// take notes a step's result and says it in words.
func (r *progressRow) take(step string, out stepResult, seconds float64) string {
	switch step {
	case "bronze":
		r.read, r.quarantined = r.read+out.Read, r.quarantined+out.Rejected
		r.state = out.Status
		if out.Status != "loaded" {
			if r.read > 0 {
				r.state = "loaded"
			}
			return out.Status
		}
		r.rate = rate(out.Read, seconds)
		text := fmt.Sprintf("%s, %s", some(out.Read, "row"), r.rate)
		if out.Items > 0 {
			text = fmt.Sprintf("%s from %s (%s), %s", some(out.Read, "row"), some(int64(out.Items), "file"), size(out.Bytes), r.rate)
		}
		if out.Known > 0 {
			text += fmt.Sprintf(", %s known", count(out.Known))
		}
		if out.Rejected > 0 {
			text += fmt.Sprintf(", %s rejected", some(out.Rejected, "line"))
		}
		return text
	case "silver", "gold":
		r.state = out.Status
		if out.Status != "staged" {
			return strings.TrimSuffix(out.Status+": "+out.Why, ": ")
		}
		r.read, r.quarantined, r.rate = out.Read, out.Quarantined, rate(out.Read, seconds)
		text := fmt.Sprintf("%s, %s: %s new, %s changed", some(out.Read, "row"), r.rate, count(out.Inserted), count(out.Updated))
		for _, more := range []struct {
			n    int64
			what string
		}{{out.Deleted, "deleted"}, {out.Superseded, "superseded"}, {out.Stale, "stale"}, {out.Quarantined, "quarantined"}} {
			if more.n > 0 {
				text += fmt.Sprintf(", %s %s", count(more.n), more.what)
			}
		}
		return text
	case "quality":
		r.state, r.score = out.Verdict, fmt.Sprintf("%.2f", out.Score)
		return strings.TrimSuffix(fmt.Sprintf("%s, score %.2f, %d rules: %s", out.Verdict, out.Score, out.Checks, out.Summary), ": ")
	case "publish":
		r.state = fmt.Sprintf("published v%d", out.Version)
		return fmt.Sprintf("version %d is published", out.Version)
	case "maintain":
		r.state = out.Status
	}
	return out.Status
}

// line prints a step's end where there is no live display.
func (p *progress) line(at time.Time, step, name, text string) {
	if p.live || p.quiet {
		return
	}
	fmt.Fprintf(p.w, "%7.2fs  %-8s %-26s %s\n", at.Sub(p.started).Seconds(), step, name, text)
}

// draw writes the table over the one before.
func (p *progress) draw() {
	w := table.NewWriter()
	setColumns(w, []string{"table", "state", ">rows", ">rows/s", ">quarantined", ">score", ">s"})
	for _, name := range p.order {
		r := p.rows[name]
		state, spent := r.state, r.spent
		if r.state == "running" {
			state, spent = r.step+" ... "+r.reading, spent+max(0, time.Since(r.began))
		}
		w.AppendRow(table.Row{name, state, blankZero(r.read), strings.TrimSuffix(r.rate, " rows/s"), blankZero(r.quarantined), r.score, fmt.Sprintf("%.1f", spent.Seconds())})
	}
	lines := strings.Split(w.Render(), "\n")
	lines = lines[max(0, len(lines)-p.height+1):] // what has scrolled away cannot be written over
	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.drawn)
	}
	for _, l := range lines {
		if r := []rune(l); len(r) >= p.width {
			l = string(r[:p.width-1])
		}
		b.WriteString("\x1b[2K" + l + "\n")
	}
	p.drawn = len(lines)
	fmt.Fprint(p.w, b.String())
}
