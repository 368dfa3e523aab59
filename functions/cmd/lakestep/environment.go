package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/lakestep/lakestep/functions"
	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/step"
)

// defaultPipeline is the folder that commands take when none is named.
const defaultPipeline = "config/retail"

// variables parses --var flags.
func (g *globals) variables() (map[string]string, error) {
	vars := map[string]string{}
	for _, v := range g.vars {
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			return nil, fault.New(fault.InvalidInput, "read", "--var "+v, "it is not name=value")
		}
		vars[name] = value
	}
	return vars, nil
}

// load reads and checks a pipeline's folder.
func (g *globals) load(dir string) (pipeline.Bundle, *pipeline.Pipeline, error) {
	vars, err := g.variables()
	if err != nil {
		return pipeline.Bundle{}, nil, err
	}
	b, err := pipeline.ReadBundle(dir, vars)
	if err != nil {
		return pipeline.Bundle{}, nil, err
	}
	p, err := pipeline.Load(b)
	return b, p, err
}

// place is where the lake is: --lake, or what the pipeline says.
func (g *globals) place(p *pipeline.Pipeline) (place, error) {
	if g.lake != "" {
		return placeOf(g.lake)
	}
	return placeOf(p.Lake)
}

// open loads a pipeline and opens its lake to look into it: there must be one.
func (g *globals) open(ctx context.Context, dir string) (*pipeline.Pipeline, *lake.Lake, place, error) {
	_, p, err := g.load(dir)
	if err != nil {
		return nil, nil, place{}, err
	}
	where, err := g.place(p)
	if err != nil {
		return nil, nil, place{}, err
	}
	if there, err := where.exists(ctx); err != nil {
		return nil, nil, place{}, err
	} else if !there {
		return nil, nil, place{}, fault.New(fault.InvalidInput, "open lake", compose.Displayed(where.Name), "there is none").WithHint("lakestep run%s", g.again(dir))
	}
	l, err := openLake(ctx, where)
	return p, l, where, err
}

// openLake opens a lake.
func openLake(ctx context.Context, where place) (*lake.Lake, error) {
	return compose.OpenLake(ctx, where.Name, version)
}

// limits are the resources that a command may take.
type limits struct {
	memoryMB, threads int
}

// openEngine starts the SQL engine, its files in folder, which is on the lake's own file system where it has one. A run (name "run") holds the lake's lock, so that what it finds
// there was left by one that was killed, and is removed.
func openEngine(folder, name string, l limits) (*engine.Engine, error) {
	dir := filepath.Join(folder, "_lakestep", "tmp", name)
	if name == runEngine {
		if err := os.RemoveAll(dir); err != nil {
			return nil, fault.New(fault.Unavailable, "clean", dir, "%w", err)
		}
	}
	if l.memoryMB == 0 {
		l.memoryMB = defaultMemoryMB()
	}
	if l.threads == 0 {
		l.threads = runtime.NumCPU()
	}
	return engine.Open(engine.Options{MemoryMB: l.memoryMB, Threads: l.threads, TempDir: dir})
}

const runEngine = "run"

// defaultMemoryMB is 60 percent of the machine's memory, at most 8 GB; 2 GB where the machine does not tell.
func defaultMemoryMB() int {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 2048
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		fields := strings.Fields(sc.Text())
		if len(fields) < 2 || fields[0] != "MemTotal:" {
			continue
		}
		if kb, err := strconv.Atoi(fields[1]); err == nil {
			return min(8192, kb/1024*6/10)
		}
	}
	return 2048
}

// steps are the medallion's, on a lake.
func steps(l *lake.Lake, e *engine.Engine, limit connector.Limit, loaded func(string, connector.Progress)) step.Set {
	return functions.All(functions.Deps{Lake: l, Engine: e, Open: compose.OpenSource, Limit: limit, Loaded: loaded})
}

// newRun names a run: sortable by time, and unlike any other.
func newRun(now time.Time) string {
	return fmt.Sprintf("%s-%03d-%04x", now.Format("20060102-150405"), now.Nanosecond()/1e6, compose.NewAttempt()&0xffff)
}
