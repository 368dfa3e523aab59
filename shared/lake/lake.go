// Package lake holds what the steps share: the tables of a lake with the decisions that made them, the pinned pipeline of a run, and the
// documents of a run.
//
// Layout of a lake:
//
//	<layer>/<table>/            a Delta table
//	  _lakestep/cursors/        its decisions (Decision)
//	  _lakestep/staged/         commits that wait for their audit
//	  _lakestep/verdicts/       the audits (Verdict)
//	_lakestep/bundles/          pipelines as they were when a run began, by digest
//	_lakestep/runs/<run>/       plan, held tables and outcome of a run
package lake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/store"
)

// Options are what a Lake is given; all but URL and Resolve are required.
type Options struct {
	Store      store.Store
	Now        func() time.Time
	NewAttempt func() int64  // random, positive: one for each invocation of a step
	NewID      func() string // uuid
	Version    string        // of lakestep, for the tables' history
	URL        string        // of the lake, without a slash at its end, for catalogs: "s3://bucket/lake"; "": none is known

	// Resolve gives the key of a file that a table names by an absolute URI: shallow clones within the lake. Nil: no such table is read.
	Resolve func(uri string) (key string, ok bool)
}

// Lake is a lake in a store. It may be used concurrently.
type Lake struct {
	Options
	mu        sync.Mutex
	pipelines map[string]*pipeline.Pipeline // by digest of the bundle
}

// New makes a Lake.
func New(o Options) *Lake { return &Lake{Options: o, pipelines: map[string]*pipeline.Pipeline{}} }

// RejectedTable is where lines of bronze's sources go that hold no row.
const RejectedTable = "bronze.rejected_rows"

// QuarantineOf is the full name of the table to which a table's refused rows go, "" for none.
func QuarantineOf(t *pipeline.Table) string {
	if t.Layer == pipeline.Bronze {
		return RejectedTable
	}
	return t.QuarantineName()
}

// Prefix is the folder of a table: "silver.orders" lies at "silver/orders".
func Prefix(table string) string { return strings.Replace(table, ".", "/", 1) }

// Delta gives the Delta table of a full name, whether or not it exists.
func (l *Lake) Delta(table string) *delta.Table {
	return delta.Open(l.Store, Prefix(table), delta.Options{Now: l.Now, NewID: l.NewID, Engine: "lakestep/" + l.Version, Resolve: l.Resolve})
}

func bundleKey(digest string) string { return "_lakestep/bundles/" + digest + ".json" }

// Pin stores a bundle under its digest, so that all steps of a run, and a resumed run, work on these very files.
func (l *Lake) Pin(ctx context.Context, b pipeline.Bundle) (digest string, err error) {
	digest = b.Digest()
	err = l.Store.Put(ctx, bundleKey(digest), bytes.NewReader(b.Encode()), store.PutOptions{IfAbsent: true})
	if errors.Is(err, store.ErrExists) {
		err = nil
	}
	return digest, err
}

const maxBundle = 64 << 20

// Pipeline gives a pinned pipeline.
func (l *Lake) Pipeline(ctx context.Context, digest string) (*pipeline.Pipeline, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p, ok := l.pipelines[digest]; ok {
		return p, nil
	}
	raw, err := store.ReadAll(ctx, l.Store, bundleKey(digest), maxBundle)
	if err != nil {
		return nil, err
	}
	b, err := pipeline.DecodeBundle(raw)
	if err != nil {
		return nil, err
	}
	if got := b.Digest(); got != digest {
		return nil, fault.New(fault.InvalidInput, "load", bundleKey(digest), "its digest is %s: somebody changed the pinned pipeline", got)
	}
	p, err := pipeline.Load(b)
	if err != nil {
		return nil, err
	}
	l.pipelines[digest] = p
	return p, nil
}

// Declared gives a pinned pipeline and one of its tables.
func (l *Lake) Declared(ctx context.Context, digest, table string) (*pipeline.Pipeline, *pipeline.Table, error) {
	p, err := l.Pipeline(ctx, digest)
	if err != nil {
		return nil, nil, err
	}
	t, ok := p.Table(table)
	if !ok {
		return nil, nil, fault.New(fault.InvalidInput, "find", table, "the pipeline has no such table")
	}
	return p, t, nil
}

func runKey(run, name string) string { return "_lakestep/runs/" + run + "/" + name + ".json" }

// PutRun stores a document of a run, replacing one of that name.
func (l *Lake) PutRun(ctx context.Context, run, name string, doc any) error {
	raw, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		return fault.New(fault.Internal, "store", name, "%w", err)
	}
	return l.Store.Put(ctx, runKey(run, name), bytes.NewReader(raw), store.PutOptions{})
}

const maxRunDocument = 16 << 20

// GetRun reads a document of a run; false when there is none.
func (l *Lake) GetRun(ctx context.Context, run, name string, doc any) (bool, error) {
	return l.getJSON(ctx, runKey(run, name), doc)
}

func (l *Lake) getJSON(ctx context.Context, key string, doc any) (bool, error) {
	raw, err := store.ReadAll(ctx, l.Store, key, maxRunDocument)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(raw, doc); err != nil {
		return false, fault.New(fault.Internal, "read", key, "%w", err)
	}
	return true, nil
}

// Runs lists the runs that have documents, newest first: their names begin with the time.
func (l *Lake) Runs(ctx context.Context) ([]string, error) {
	const prefix = "_lakestep/runs/"
	var out []string
	for o, err := range l.Store.List(ctx, prefix, "") {
		if err != nil {
			return nil, err
		}
		run, _, ok := strings.Cut(strings.TrimPrefix(o.Key, prefix), "/")
		if ok && (len(out) == 0 || out[len(out)-1] != run) {
			out = append(out, run)
		}
	}
	slices.Reverse(out)
	return out, nil
}
