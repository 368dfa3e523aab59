package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/store"
)

// target is the table that a command names: one of the pipeline's ("silver.orders"), or any Delta table by its folder or URL.
type target struct {
	Name     string // for messages: as it was given, without a signature
	Root     string // folder or URL that its store was opened by
	Delta    *delta.Table
	Store    store.Store        // holds the table's files
	Lake     *lake.Lake         // nil for a folder
	Pipeline *pipeline.Pipeline // nil for a folder
}

// target finds the table that an argument of a `table ...` command means. What has a slash is a folder or a URL, and a folder is also a name under which there
// is a table's log; other names are the pipeline's tables. dir is the folder of the pipeline. The table may not exist.
func (g *globals) target(ctx context.Context, dir, name string) (target, error) {
	if strings.ContainsAny(name, `/\`) || name == "." || name == ".." || isTable(name) {
		return openTable(ctx, name)
	}
	p, l, where, err := g.open(ctx, dir)
	if err != nil {
		return target{}, err
	}
	if err := known(p, name); err != nil {
		return target{}, err
	}
	return target{Name: name, Root: where.Name, Delta: l.Delta(name), Store: l.Store, Lake: l, Pipeline: p}, nil
}

// isTable tells whether a folder holds the log of a Delta table.
func isTable(folder string) bool {
	info, err := os.Stat(filepath.Join(folder, "_delta_log"))
	return err == nil && info.IsDir()
}

// openTable opens a Delta table of whatever maker, in a folder or at a URL.
func openTable(ctx context.Context, name string) (target, error) {
	if there, err := (place{Name: name}).exists(ctx); err != nil {
		return target{}, err
	} else if !there {
		return target{}, fault.New(fault.InvalidInput, "open table", compose.Displayed(name), "%w", delta.ErrNoTable).
			WithHint("give the folder that holds _delta_log, or the name of one of the pipeline's tables")
	}
	s, err := compose.OpenStore(ctx, name)
	if err != nil {
		return target{}, err
	}
	t := delta.Open(s, "", delta.Options{Now: func() time.Time { return time.Now().UTC() }, NewID: uuid.NewString, Engine: "lakestep/" + version})
	return target{Name: compose.Displayed(name), Root: name, Delta: t, Store: s}, nil
}

// session starts an engine for the table's rows, its files in a folder of its own: a table of somebody else's is not written to. Call done
// when nothing is read any more.
func (t target) session(ctx context.Context) (_ *engine.Session, done func(), err error) {
	dir, err := os.MkdirTemp("", "lakestep-")
	if err != nil {
		return nil, nil, fault.New(fault.Unavailable, "open engine", "temporary folder", "%w", err).WithHint("set TMPDIR to a folder with room")
	}
	e, err := engine.Open(engine.Options{MemoryMB: defaultMemoryMB(), Threads: runtime.NumCPU(), TempDir: dir})
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, nil, err
	}
	closeEngine := func() { _ = e.Close(); _ = os.RemoveAll(dir) }
	s, err := e.Session(ctx)
	if err != nil {
		closeEngine()
		return nil, nil, err
	}
	return s, func() { _ = s.Close(); closeEngine() }, nil
}

// atFlags are --version and --timestamp of the commands that look at the past.
type atFlags struct {
	version   int64
	timestamp string
}

func (f *atFlags) add(c *cobra.Command) {
	c.Flags().Int64Var(&f.version, "version", -1, "as it was at this version")
	c.Flags().StringVar(&f.timestamp, "timestamp", "", "as it was at this time: 2026-07-01, '2026-07-01 12:00:00' (UTC), 2026-07-01T12:00:00+02:00")
}

// asOf gives the version that the flags ask for.
func (f *atFlags) asOf() (delta.AsOf, error) {
	var at delta.AsOf
	if f.version < -1 {
		return at, fault.New(fault.InvalidInput, "read", fmt.Sprintf("--version %d", f.version), "versions count from 0")
	}
	if f.version >= 0 {
		at.Version = &f.version
	}
	if f.timestamp != "" {
		t, err := parseTime(f.timestamp)
		if err != nil {
			return at, err
		}
		at.Timestamp = &t
	}
	if at.Version != nil && at.Timestamp != nil {
		return at, fault.New(fault.InvalidInput, "read", "--version and --timestamp", "give only one of them")
	}
	return at, nil
}

// parseTime reads a moment as people write it, in UTC where no zone is given.
func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} { // fractions are accepted in each
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fault.New(fault.InvalidInput, "read", "--timestamp "+text, "it is no time").WithHint("for example 2026-07-01, '2026-07-01 12:00:00' (UTC) or 2026-07-01T12:00:00+02:00")
}
