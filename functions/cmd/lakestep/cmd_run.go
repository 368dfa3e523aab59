package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/event"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/host/local"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/ledger"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/statemachines"
)

type runOptions struct {
	*globals
	dir        string
	event      string
	resume     string
	dryRun     bool
	waive      []string
	quarantine []string
	reason     string
	refresh    []string
	backfill   []string
	parallel   int
	pageMB     int64
	limits     limits
}

func runCommand(g *globals, io func() streams) *cobra.Command {
	o := runOptions{globals: g}
	c := &cobra.Command{
		Use:   "run [PIPELINE]",
		Short: "Take in what is new and bring every table up to date",
		Long: "Run the pipeline in a folder (default " + defaultPipeline + ") through the state machine, on this machine.\n\n" +
			"A run takes in what landed since the last one; when nothing did, it ends at once. A run that was killed goes on with --resume,\n" +
			"on the pipeline as it was when it began.\n\n" + exitCodes,
		Example: "  lakestep run\n  lakestep run config/retail --var landing=/data/in --lake /data/lake\n  lakestep run --resume\n  lakestep run --waive silver.cleaned_orders --reason 'known gap of 3 May'",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.dir = defaultPipeline
			if len(args) == 1 {
				o.dir = args[0]
			}
			return o.run(c.Context(), io())
		},
	}
	f := c.Flags()
	f.StringVar(&o.event, "event", "", "file with the event that starts the run (see events/); default: by hand")
	f.StringVar(&o.resume, "resume", "", "go on with a run that was interrupted: its name, or nothing for the last")
	f.Lookup("resume").NoOptDefVal = "last"
	f.BoolVar(&o.dryRun, "dry-run", false, "say what is new and what would be made, and change nothing")
	o.words(f)
	f.IntVar(&o.parallel, "parallel", 2, "steps at once")
	f.Int64Var(&o.pageMB, "page", 1024, "megabytes of files that one bronze step takes")
	f.IntVar(&o.limits.memoryMB, "memory", 0, "memory of the SQL engine in megabytes (default: 60 % of the machine, at most 8192)")
	f.IntVar(&o.limits.threads, "threads", 0, "threads of the SQL engine (default: all cores)")
	for _, other := range []string{"event", "waive", "quarantine-batch", "dry-run", "full-refresh", "backfill"} { // it goes on as it began
		c.MarkFlagsMutuallyExclusive("resume", other)
	}
	c.MarkFlagsMutuallyExclusive("event", "waive")
	c.MarkFlagsMutuallyExclusive("event", "quarantine-batch")
	return c
}

// words are the flags by which an operator has a say in a run.
func (o *runOptions) words(f *pflag.FlagSet) {
	f.StringArrayVar(&o.waive, "waive", nil, "let a table's batch through its closed gate (needs --reason)")
	f.StringArrayVar(&o.quarantine, "quarantine-batch", nil, "send a silver table's whole batch to quarantine (needs --reason)")
	f.StringArrayVar(&o.refresh, "full-refresh", nil, "let a bronze table read its source from the beginning again (may be repeated)")
	f.StringArrayVar(&o.backfill, "backfill", nil, "let a bronze table read a range of its cursor column again: TABLE=FROM..TO (may be repeated)")
	f.StringVar(&o.reason, "reason", "", "why, for the record")
}

// check refuses flags before anything is begun.
func (o *runOptions) check() error {
	for _, f := range []struct {
		name       string
		value, min int64
	}{{"parallel", int64(o.parallel), 1}, {"page", o.pageMB, 1}, {"memory", int64(o.limits.memoryMB), 0}, {"threads", int64(o.limits.threads), 0}} {
		if f.value < f.min {
			return fault.New(fault.InvalidInput, "read", fmt.Sprintf("--%s %d", f.name, f.value), "it is less than %d", f.min)
		}
	}
	return o.reasoned()
}

// reasoned refuses words without a reason.
func (o *runOptions) reasoned() error {
	if len(o.waive)+len(o.quarantine) > 0 && strings.TrimSpace(o.reason) == "" {
		return fault.New(fault.InvalidInput, "read", "--waive, --quarantine-batch", "no reason is given").
			WithHint("say why with --reason: it is recorded with the verdict")
	}
	return nil
}

func (o *runOptions) run(ctx context.Context, s streams) error {
	if err := o.check(); err != nil {
		return err
	}
	_, needed, err := o.trigger()
	if err != nil {
		return err
	}
	if !needed {
		if s.json {
			return printJSON(s, ledger.Outcome{Status: ledger.Nothing})
		}
		fmt.Fprintf(s.out, "The event in %s calls for no run.\n", o.event)
		return nil
	}
	bundle, where, err := o.lakeAndPipeline()
	if err != nil {
		return err
	}
	if o.dryRun {
		return o.plan(ctx, s, where, bundle)
	}
	l, err := openLake(ctx, where)
	if err != nil {
		return err
	}
	lock := newLock(where.Local)
	locked, err := o.enter(lock)
	looked := false
	for ; locked && err == nil; locked, err = lock.take() { // another run that has it looks at what this one was asked to
		err = o.once(ctx, s, l, where, bundle)
		again, rerr := lock.release()
		var ended errReported // it came to its end, be it a failed one
		if rerr != nil || (err != nil && !errors.As(err, &ended)) {
			return errors.Join(err, rerr)
		}
		if !again || o.resume != "" { // after a resumed run, which may be of another pipeline, the mark stays for the next
			return err
		}
		o.waive, o.quarantine, o.refresh, o.backfill = nil, nil, nil, nil
		fmt.Fprintln(s.err, "An event came in during the run: looking again.")
		if bundle, _, err = o.load(o.dir); err != nil {
			return err
		}
		looked = true
	}
	if err == nil && !looked {
		fmt.Fprintln(s.err, "Another run on this lake is active; it will look again when it is done.")
		return errReported{exitBusy}
	}
	return err
}

// lakeAndPipeline reads the pipeline and finds its lake; a run that is resumed has a pipeline of its own, and needs the lake alone.
func (o *runOptions) lakeAndPipeline() (pipeline.Bundle, place, error) {
	if o.resume != "" && o.lake != "" {
		where, err := placeOf(o.lake)
		return pipeline.Bundle{}, where, err
	}
	bundle, p, err := o.load(o.dir)
	if err != nil {
		return pipeline.Bundle{}, place{}, err
	}
	where, err := o.place(p)
	return bundle, where, err
}

// enter takes the lock, or leaves word for the active run to look again.
func (o *runOptions) enter(lock *runLock) (bool, error) {
	locked, err := lock.take()
	if locked || err != nil {
		return locked, err
	}
	if len(o.waive)+len(o.quarantine)+len(o.refresh)+len(o.backfill) > 0 || o.resume != "" {
		return false, fault.New(fault.Unavailable, "start", "run", "another run on this lake is active").WithHint("wait for it to end, and say this again")
	}
	if err := lock.mark(); err != nil {
		return false, err
	}
	return lock.take() // the active run may have looked for the mark just before it was made
}

// once runs the state machine once.
func (o *runOptions) once(ctx context.Context, s streams, l *lake.Lake, where place, bundle pipeline.Bundle) error {
	e, err := openEngine(where.Local, runEngine, o.limits)
	if err != nil {
		return err
	}
	defer e.Close()
	display := newProgress(s)
	journals := filepath.Join(where.Local, "_lakestep", "journals")
	runner, err := local.New(local.Options{Definition: statemachines.Medallion(), File: "medallion.asl.json", Dir: journals,
		Steps: steps(l, e, connector.Limit{Items: 1000, Bytes: o.pageMB << 20}, display.reading), MaxParallel: o.parallel, Clock: local.WallClock{}, Observe: display.observe})
	if err != nil {
		return err
	}
	run, out, err := o.drive(ctx, s, l, runner, journals, bundle, display)
	display.stop()
	if err != nil {
		if ctx.Err() != nil {
			return fault.New(fault.Unavailable, "run", run, "interrupted").WithHint("go on with: lakestep run%s --resume=%s", o.again(o.dir), run)
		}
		return err
	}
	return o.conclude(ctx, s, l, where, run, out)
}

// drive starts a run or goes on with one.
func (o *runOptions) drive(ctx context.Context, s streams, l *lake.Lake, runner *local.Runner, journals string, bundle pipeline.Bundle, display *progress) (string, local.Outcome, error) {
	if o.resume != "" {
		run, err := lastRun(journals, o.resume)
		if err != nil {
			return "", local.Outcome{}, err
		}
		if err := overtaken(ctx, l, run); err != nil {
			return "", local.Outcome{}, err
		}
		display.begin("Resuming run " + run)
		out, err := runner.Resume(ctx, run)
		return run, out, err
	}
	digest, err := l.Pin(ctx, bundle)
	if err != nil {
		return "", local.Outcome{}, err
	}
	trigger, _, err := o.trigger()
	if err != nil {
		return "", local.Outcome{}, err
	}
	run := newRun(time.Now().UTC())
	input, err := json.Marshal(map[string]any{"run": run, "bundle": digest, "trigger": trigger})
	if err != nil {
		return "", local.Outcome{}, fault.New(fault.Internal, "start", "run", "%w", err)
	}
	display.begin("Run " + run)
	out, err := runner.Start(ctx, run, input)
	return run, out, err
}

// overtaken refuses to go on with a run when a later one of the same pipeline has worked on the lake: the old one's SQL would come out on top.
func overtaken(ctx context.Context, l *lake.Lake, run string) error {
	var mine, other ledger.Plan
	if _, err := l.GetRun(ctx, run, ledger.PlanDocument, &mine); err != nil {
		return err
	}
	var out ledger.Outcome
	if ended, err := l.GetRun(ctx, run, ledger.OutcomeDocument, &out); err != nil || ended {
		return err // an ended run only tells its outcome again
	}
	runs, err := l.Runs(ctx)
	if err != nil {
		return err
	}
	for _, later := range runs { // newest first, by name
		if later <= run {
			return nil
		}
		found, err := l.GetRun(ctx, later, ledger.PlanDocument, &other)
		if err != nil {
			return err
		}
		if found && (mine.Pipeline == "" || mine.Pipeline == other.Pipeline) {
			return fault.New(fault.InvalidInput, "resume", run, "run %s began after it", later).
				WithHint("start a new run: it takes in whatever is missing")
		}
	}
	return nil
}

// trigger is the event of --event, or a request by hand with the operator's words; false when the event calls for no run.
func (o *runOptions) trigger() (event.Trigger, bool, error) {
	if o.event != "" {
		raw, err := os.ReadFile(o.event)
		if err != nil {
			return event.Trigger{}, false, fault.New(fault.InvalidInput, "read event", o.event, "%w", err)
		}
		triggers, err := event.Parse(raw)
		if err != nil {
			return event.Trigger{}, false, fault.New(fault.InvalidInput, "read event", o.event, "%w", err)
		}
		if len(triggers) == 0 {
			return event.Trigger{}, false, nil
		}
		return triggers[0], true, nil // the others say the same: look
	}
	ranges, err := o.ranges()
	if err != nil {
		return event.Trigger{}, false, err
	}
	input, err := json.Marshal(lake.Overrides{Waive: o.waive, RefuseBatch: o.quarantine, Reason: o.reason, Refresh: o.refresh, Backfill: ranges})
	return event.Trigger{Kind: event.Manual, Source: event.CLI, Time: time.Now().UTC(), Input: input}, true, err
}

// ranges parses --backfill.
func (o *runOptions) ranges() (map[string]connector.Window, error) {
	out := map[string]connector.Window{}
	for _, text := range o.backfill {
		name, span, ok := strings.Cut(text, "=")
		from, to, also := strings.Cut(span, "..")
		if !ok || !also || from == "" || to == "" {
			return nil, fault.New(fault.InvalidInput, "read", "--backfill "+text, "it is not TABLE=FROM..TO").WithHint("for example --backfill 'bronze.raw_orders=2026-01-01..2026-01-31'")
		}
		out[name] = connector.Window{From: from, To: to}
	}
	return out, nil
}

// conclude prints how the run ended and turns it into an exit code.
func (o *runOptions) conclude(ctx context.Context, s streams, l *lake.Lake, where place, run string, end local.Outcome) error {
	var out ledger.Outcome
	found, err := l.GetRun(ctx, run, ledger.OutcomeDocument, &out)
	if err != nil {
		return err
	}
	if !found {
		out = ledger.Outcome{Run: run, Status: ledger.Nothing}
		if end.Status != asl.Succeeded {
			out.Status, out.Error = ledger.Failed, &ledger.Error{Error: end.Error, Cause: end.Cause}
		}
	}
	if s.json {
		err = printJSON(s, out)
	} else {
		err = summarize(s, out, summaryContext{lake: compose.Displayed(where.Name), again: o.again(o.dir), look: o.look(o.dir), sample: o.dir == defaultPipeline && o.lake == ""})
	}
	if err != nil {
		return err
	}
	switch out.Status {
	case ledger.HeldBack:
		return errReported{exitCode(fault.New(fault.QualityFailed, "", "", "held"))}
	case ledger.Failed:
		return errReported{exitCode(&fault.Fault{Kind: fault.Kind(end.Error)})}
	}
	return nil
}

// lastRun resolves --resume.
func lastRun(journals, name string) (string, error) {
	if name != "last" {
		return name, nil
	}
	entries, err := os.ReadDir(journals)
	if err != nil && !os.IsNotExist(err) {
		return "", fault.New(fault.InvalidInput, "resume", journals, "%w", err)
	}
	last := ""
	for _, e := range entries { // sorted by name, and names begin with the time
		if run, ok := strings.CutSuffix(e.Name(), ".jsonl"); ok {
			last = run
		}
	}
	if last == "" {
		return "", fault.New(fault.InvalidInput, "resume", "run", "no run has been started on this lake").WithHint("lakestep run")
	}
	return last, nil
}

// runLock lets one run at a time work on a lake, and remembers that another was asked for.
type runLock struct {
	lock   *flock.Flock
	marker string
}

func newLock(folder string) *runLock {
	dir := filepath.Join(folder, "_lakestep")
	return &runLock{lock: flock.New(filepath.Join(dir, "run.lock")), marker: filepath.Join(dir, "again")}
}

func (r *runLock) take() (bool, error) {
	if err := os.MkdirAll(filepath.Dir(r.marker), 0o755); err != nil {
		return false, fault.New(fault.InvalidInput, "lock", r.lock.Path(), "%w", err)
	}
	ok, err := r.lock.TryLock()
	if err != nil {
		return false, fault.New(fault.Unavailable, "lock", r.lock.Path(), "%w", err)
	}
	if ok {
		err = os.Remove(r.marker) // whoever left it is served by this run
		if os.IsNotExist(err) {
			err = nil
		}
	}
	return ok, err
}

func (r *runLock) mark() error {
	if err := os.WriteFile(r.marker, nil, 0o644); err != nil {
		return fault.New(fault.Unavailable, "mark", r.marker, "%w", err)
	}
	return nil
}

// release unlocks, and tells whether a run was asked for meanwhile. It looks after unlocking: who marks later finds the lock free when it
// tries once more.
func (r *runLock) release() (again bool, err error) {
	if err := r.lock.Unlock(); err != nil {
		return false, fault.New(fault.Unavailable, "unlock", r.lock.Path(), "%w", err)
	}
	_, err = os.Stat(r.marker)
	return err == nil, nil
}
