package functions_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/functions"
	"github.com/lakestep/lakestep/functions/maintain"
	"github.com/lakestep/lakestep/functions/survey"
	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/step"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/inject"
)

// function is what terraform/modules/functions/steps.json declares of a step. Its role on AWS is made of it.
type function struct {
	Name      string   `json:"name"`
	About     string   `json:"about"`
	MemoryMB  int      `json:"memory_mb"`
	TimeoutS  int      `json:"timeout_s"`
	StorageMB int      `json:"storage_mb"`
	Writes    []string `json:"writes"`  // folders of the lake
	Deletes   []string `json:"deletes"` // the same
	Sources   bool     `json:"sources"` // opens sources: landing files and secrets
	Catalog   []string `json:"catalog"` // actions of Glue
	Starts    bool     `json:"starts"`  // starts executions
}

func declared(t *testing.T) map[string]function {
	t.Helper()
	f, err := os.Open("../terraform/modules/functions/steps.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []function
	dec := json.NewDecoder(f)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&list); err != nil {
		t.Fatal(err)
	}
	out := map[string]function{}
	for _, d := range list {
		if _, twice := out[d.Name]; twice {
			t.Errorf("steps.json has %s twice", d.Name)
		}
		if d.About == "" || d.MemoryMB < 512 || d.MemoryMB > 3008 || d.TimeoutS < 30 || d.TimeoutS > 900 || d.StorageMB < 512 || d.StorageMB > 10240 {
			t.Errorf("steps.json: %+v: what it is about, 512 to 3008 MB of memory (what new accounts may have), 30 to 900 seconds, 512 to 10240 MB of storage", d)
		}
		out[d.Name] = d
	}
	return out
}

// The functions that Terraform makes are the steps that there are, and the starter.
func TestTerraformHasTheSteps(t *testing.T) {
	want := append(functions.All(functions.Deps{}).Names(), "starter")
	got := declared(t)
	for _, name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("terraform/modules/functions/steps.json lacks the step %s", name)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("terraform/modules/functions/steps.json has %s, which is no step", name)
	}
}

// doing is the step that a context belongs to.
type doing struct{}

// bounded is a lake in which each step may do what its role on AWS allows.
type bounded struct {
	store.Store
	may map[string]function
}

func (b bounded) check(ctx context.Context, key string, folders func(function) []string) error {
	name, _ := ctx.Value(doing{}).(string)
	if name == "" || slices.ContainsFunc(folders(b.may[name]), func(f string) bool { return strings.HasPrefix(key, f+"/") }) {
		return nil
	}
	return fault.New(fault.InvalidInput, "write", key, "AccessDenied: steps.json does not let %s do it", name)
}

func (b bounded) Put(ctx context.Context, key string, body io.Reader, o store.PutOptions) error {
	if err := b.check(ctx, key, func(f function) []string { return f.Writes }); err != nil {
		return err
	}
	return b.Store.Put(ctx, key, body, o)
}

func (b bounded) Delete(ctx context.Context, key string) error {
	if err := b.check(ctx, key, func(f function) []string { return f.Deletes }); err != nil {
		return err
	}
	return b.Store.Delete(ctx, key)
}

// boundedSettings let each step of a program do what its role allows.
func boundedSettings(may map[string]function) settings {
	return settings{
		wrap: func(s store.Store) store.Store { return bounded{s, may} },
		handler: func(name string, h step.Handler) step.Handler {
			return func(ctx context.Context, in json.RawMessage) (json.RawMessage, error) {
				return h(context.WithValue(ctx, doing{}, name), in)
			}
		},
	}
}

// The roles allow what the steps do: runs with rejected lines and refused rows, a failure, maintenance that deletes.
func TestTerraformLetsTheStepsWork(t *testing.T) {
	may := declared(t)
	l := newLab(t)
	s, free := l.site(t), l.site(t)
	for batch := 1; batch <= 3; batch++ {
		l.land(batch)
		run := fmt.Sprint("run-", batch)
		free.mustRun(run)
		out, err := s.program(boundedSettings(may)).start(t.Context(), run)
		succeeded(t, out, err)
	}
	s.equal(free.state())

	p := s.program(boundedSettings(may))
	bundle := p.pin(t)
	if _, err := try[any](t, p, "fail", map[string]any{"run": "run-lost", "bundle": bundle, "error": map[string]string{"Error": "Unavailable", "Cause": "{}"}}); err != nil {
		t.Error(err)
	}

	p.lake.Now = func() time.Time { return time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC) } // all that may go is old enough
	tables := do[survey.Output](t, p, "survey", survey.Input{Run: "care", Bundle: bundle}).Tables
	if len(tables) < len(shopTables()) {
		t.Errorf("survey finds %v", tables)
	}
	deleted := 0
	for _, table := range tables {
		for more := true; more; {
			out := do[maintain.Output](t, p, "maintain", maintain.Input{Run: "care", Bundle: bundle, Table: table})
			more = out.More
			deleted += out.FilesDeleted
		}
	}
	if deleted == 0 {
		t.Error("maintenance deleted no file: what it may delete was not tried")
	}
	do[any](t, p, "complete", map[string]any{"run": "care", "bundle": bundle})
	if diff := cmp.Diff(free.state().Rows, s.state().Rows); diff != "" {
		t.Errorf("the rows differ from those of an undisturbed run (-want +got):\n%s", diff)
	}
}

// A run that finds what a dead one left brings refused rows and rejected lines to their tables before it plans.
func TestTerraformLetsValidateRollForward(t *testing.T) {
	for _, table := range []string{"silver/quarantine_orders", "bronze/rejected_rows"} {
		t.Run(table, func(t *testing.T) {
			l := newLab(t)
			s := l.site(t)
			l.land(1)
			in := inject.New(inject.Plan{How: inject.Crash, At: 1, Counts: func(op inject.Op) bool {
				return op.Writes() && strings.HasPrefix(op.Key, table+"/_delta_log/")
			}})
			out, err := s.program(settings{wrap: in.Wrap}).start(t.Context(), "dead")
			if err == nil && out.Status == asl.Succeeded {
				t.Error("the run survived")
			}
			out, err = s.program(boundedSettings(declared(t))).start(t.Context(), "next")
			succeeded(t, out, err)
			s.balanced(s.state())
		})
	}
}

// A closed gate is put on record, for the table and for those behind it.
func TestTerraformLetsGatesClose(t *testing.T) {
	l := newLab(t)
	s := l.site(t)
	l.land(1)
	text := l.bundle.Files[l.bundle.Root]
	l.bundle.Files[l.bundle.Root] = strings.Replace(text, "- { not_null: order_id }", "- { row_count: { min: 1000000 } }", 1)
	p := s.program(boundedSettings(declared(t)))
	out, err := p.start(t.Context(), "held")
	succeeded(t, out, err)
	held, err := p.lake.HeldTables(t.Context(), "held")
	if err != nil || len(held) < 2 {
		t.Errorf("held are %v, %v; want silver.orders and those that read it", held, err)
	}
}

// The step that pins the pipeline is not part of local runs.
func TestTerraformLetsPinWork(t *testing.T) {
	l := newLab(t)
	s := l.site(t)
	p := s.program(boundedSettings(declared(t)))
	set := functions.All(functions.Deps{Lake: p.lake, Engine: l.engine, Bundle: func() (pipeline.Bundle, error) { return l.bundle, nil }})
	in := json.RawMessage(`{"execution": "after-1", "started": "2026-04-01T00:00:00Z", "request": {}}`)
	if _, err := set["pin"](context.WithValue(t.Context(), doing{}, "pin"), in); err != nil {
		t.Error(err)
	}
}
