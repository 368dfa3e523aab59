package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
)

// streamOptions are those of the streaming drain: runs, one after the other, while there is something new.
type streamOptions struct {
	runOptions
	every time.Duration
	until time.Duration
}

func streamCommand(g *globals, io func() streams) *cobra.Command {
	o := streamOptions{runOptions: runOptions{globals: g}}
	c := &cobra.Command{
		Use:   "stream [PIPELINE]",
		Short: "Drain the sources until told to stop: a run whenever there is something new",
		Long: "Run the pipeline again and again: a micro-batch as soon as a source has more, and a look at the sources every --every when none has.\n" +
			"Each micro-batch is a run like any other, with its gates and its entry in ops.runs. A failed look is tried again; a failed run ends it.\n" +
			"Ctrl-C ends it after the step that is at work; nothing is lost or doubled however it ends.\n\n" + exitCodes,
		Example: "  lakestep stream config/enterprise --every 2s",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.dir = defaultPipeline
			if len(args) == 1 {
				o.dir = args[0]
			}
			return o.stream(c.Context(), io())
		},
	}
	f := c.Flags()
	f.DurationVar(&o.every, "every", 5*time.Second, "how often to look when nothing is new")
	f.DurationVar(&o.until, "for", 0, "end after so long (default: never)")
	f.IntVar(&o.parallel, "parallel", 2, "steps at once")
	f.Int64Var(&o.pageMB, "page", 256, "megabytes that one bronze step takes")
	f.IntVar(&o.limits.memoryMB, "memory", 0, "memory of the SQL engine in megabytes (default: 60 % of the machine, at most 8192)")
	f.IntVar(&o.limits.threads, "threads", 0, "threads of the SQL engine (default: all cores)")
	return c
}

func (o *streamOptions) stream(ctx context.Context, s streams) error {
	if o.every <= 0 {
		return fault.New(fault.InvalidInput, "read", "--every "+o.every.String(), "it is not more than 0")
	}
	if o.until > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.until)
		defer cancel()
	}
	failed := 0
	for {
		more, err := o.more(ctx)
		if err == nil && more {
			err = o.run(ctx, s)
		}
		if ctx.Err() != nil { // asked to end: what was at work is taken up by whoever comes next
			return o.ended(ctx, s, err)
		}
		switch failed++; {
		case err == nil:
			failed = 0
		case !worthAnother(err) || failed >= maxLooks:
			return err
		default:
			fmt.Fprintf(s.err, "%v; looking again in %s\n", err, o.every)
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return o.ended(ctx, s, nil)
		case <-time.After(o.every):
		}
	}
}

// worthAnother tells whether a run that ended so may end otherwise the next time.
func worthAnother(err error) bool {
	var reported errReported
	if errors.As(err, &reported) {
		return reported.code == exitCode(fault.New(fault.Unavailable, "", "", "again")) || reported.code == exitBusy
	}
	return fault.KindOf(err).Retryable()
}

// maxLooks is how often in a row the sources may be out of reach.
const maxLooks = 20

// ended tells a wanted end from an unwanted one.
func (o *streamOptions) ended(ctx context.Context, s streams, err error) error {
	fmt.Fprintln(s.err, "Stream ended.")
	var reported errReported
	if errors.As(err, &reported) || fault.KindOf(err) == fault.Unavailable || err == nil {
		return nil
	}
	return err
}

// more tells whether a source has something new.
func (o *streamOptions) more(ctx context.Context) (bool, error) {
	bundle, where, err := o.lakeAndPipeline()
	if err != nil {
		return false, err
	}
	p, err := pipeline.Load(bundle)
	if err != nil {
		return false, err
	}
	l, err := openLake(ctx, where)
	if err != nil {
		return false, err
	}
	return o.anyMore(ctx, l, p)
}

func (o *streamOptions) anyMore(ctx context.Context, l *lake.Lake, p *pipeline.Pipeline) (bool, error) {
	for _, t := range p.Tables {
		if t.Layer != pipeline.Bronze {
			continue
		}
		row, err := o.planBronze(ctx, l, p, t)
		if row.Work || err != nil {
			return row.Work, err
		}
	}
	return false, nil
}
