package functions_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/catalog"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/pipeline"
)

// shelf is a catalog in memory. refuse is asked before each call of an entry.
type shelf struct {
	mu      sync.Mutex
	entries map[string]catalog.Table
	calls   map[string]int
	refuse  func(table string, call int) error
}

func newShelf() *shelf {
	return &shelf{entries: map[string]catalog.Table{}, calls: map[string]int{}, refuse: func(string, int) error { return nil }}
}

func (s *shelf) Register(_ context.Context, t catalog.Table) (catalog.Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[t.Name]++
	if err := s.refuse(t.Name, s.calls[t.Name]); err != nil {
		return catalog.Change{}, err
	}
	s.entries[t.Name] = t
	return catalog.Change{Table: t.Name}, nil
}

func (s *shelf) Prune(_ context.Context, d catalog.Declared) ([]catalog.Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls["prune"]++
	if err := s.refuse("prune", s.calls["prune"]); err != nil {
		return nil, err
	}
	maps.DeleteFunc(s.entries, func(name string, t catalog.Table) bool {
		return t.Pipeline == d.Pipeline && t.Lake == d.Lake && t.Run <= d.Run && !slices.Contains(d.Tables, name)
	})
	return nil, nil
}

// published are the shop's tables behind a gate.
var published = []string{"gold.customer_history", "gold.order_facts", "gold.revenue", "silver.customers", "silver.orders"}

// agrees holds the catalog against the lake.
func (s *site) agrees(c *shelf, want []string) {
	s.t.Helper()
	if got := slices.Sorted(maps.Keys(c.entries)); !slices.Equal(got, want) {
		s.t.Errorf("the catalog has %v, want %v", got, want)
	}
	p := s.program(settings{})
	for name, e := range c.entries {
		table, err := p.lake.Open(s.t.Context(), name)
		if err != nil {
			s.t.Fatal(err)
		}
		if e.Version != table.Snap.Version() || e.ID != table.Snap.Metadata().ID || e.Run != table.Decision.Run || len(e.Schema.Fields) != len(table.Snap.Schema().Fields) ||
			e.Pipeline != "shop" || e.Lake != "s3://bucket/shop" || e.Location != "s3://bucket/shop/"+strings.Replace(name, ".", "/", 1) {
			s.t.Errorf("%s: entry of version %d by %s at %s, the table is at %d by %s", name, e.Version, e.Run, e.Location, table.Snap.Version(), table.Decision.Run)
		}
	}
}

// The catalog shows what is published and nothing else, also when it is down at first: the step is repeated, the table not written again.
func TestCatalogFollowsTheLake(t *testing.T) {
	l := newLab(t)
	calm, s, c := l.site(t), l.site(t), newShelf()
	c.refuse = func(table string, call int) error {
		if call == 1 {
			return fault.New(fault.Throttled, "register", table, "not now")
		}
		return nil
	}
	for batch, run := range []string{"run-1", "run-2"} {
		l.land(batch + 1)
		calm.mustRun(run)
		out, err := s.program(settings{catalog: c, parallel: 3}).start(t.Context(), run)
		succeeded(t, out, err)
		s.equal(calm.state())
		s.agrees(c, published)
	}
	// What people are told comes from the contract, where there is one.
	contracted, ok := l.declared().Table("gold.order_facts")
	if !ok || c.entries["gold.order_facts"].Description != contracted.Contract.Description {
		t.Errorf("%+v", c.entries["gold.order_facts"])
	}
	comments := 0
	for _, f := range c.entries["gold.order_facts"].Schema.Fields {
		column, _ := contracted.Contract.Column(f.Name)
		if column.Description != "" {
			comments++
			if !strings.Contains(string(f.Metadata["comment"]), column.Description) {
				t.Errorf("%s: comment %s, the contract says %q", f.Name, f.Metadata["comment"], column.Description)
			}
		}
	}
	if comments == 0 {
		t.Error("the contract describes no column: nothing was tried")
	}
	// Nothing new: nobody asks the catalog.
	before := maps.Clone(c.calls)
	out, err := s.program(settings{catalog: c}).start(t.Context(), "run-3")
	succeeded(t, out, err)
	if diff := cmp.Diff(before, c.calls); diff != "" {
		t.Error(diff)
	}
}

// A catalog that refuses an entry ends the run, with its reason. The table is published; the next run that publishes it registers it.
func TestCatalogRefuses(t *testing.T) {
	l := newLab(t)
	s, c := l.site(t), newShelf()
	l.land(1)
	mended := false
	c.refuse = func(table string, _ int) error {
		if table == "silver.orders" && !mended {
			return fault.New(fault.InvalidInput, "register", table, "another's entry")
		}
		return nil
	}
	out, err := s.program(settings{catalog: c}).start(t.Context(), "run-1")
	if err != nil || out.Status != asl.Failed || out.Error != "InvalidInput" || !strings.Contains(out.Cause, "another's entry") || c.calls["silver.orders"] != 1 {
		t.Fatalf("%+v %v", out, err)
	}
	table, err := s.program(settings{}).lake.Open(t.Context(), "silver.orders")
	if err != nil || !table.Exists() {
		t.Fatal("silver.orders is not published", err)
	}
	mended = true
	l.land(2)
	out, err = s.program(settings{catalog: c}).start(t.Context(), "run-2")
	succeeded(t, out, err)
	s.agrees(c, published)
}

// A table that is taken out of pipeline.yaml goes from the catalog. Its data stays; late repetitions of older runs bring it back as little as they
// take newer tables away.
func TestCatalogForgetsWhatIsNotDeclared(t *testing.T) {
	l := newLab(t)
	s, c := l.site(t), newShelf()
	l.land(1)
	var calls []call
	noted := twice(&calls)
	noted.catalog = c
	out, err := s.program(noted).start(t.Context(), "run-1")
	succeeded(t, out, err)
	s.agrees(c, published)

	whole := l.bundle
	text, rest, found := strings.Cut(l.bundle.Files[pipeline.RootFile], "  revenue:\n")
	if !found || strings.Count(rest, "\n") != 3 {
		t.Fatalf("pipeline.yaml does not end with revenue's three lines: %s", rest)
	}
	l.bundle.Files = maps.Clone(whole.Files)
	l.bundle.Files[pipeline.RootFile] = text
	l.land(2)
	out, err = s.program(settings{catalog: c}).start(t.Context(), "run-2")
	succeeded(t, out, err)
	without := slices.DeleteFunc(slices.Clone(published), func(n string) bool { return n == "gold.revenue" })
	s.agrees(c, without)
	if table, err := s.program(settings{}).lake.Open(t.Context(), "gold.revenue"); err != nil || !table.Exists() {
		t.Error("the table is gone", err)
	}

	l.bundle = whole
	l.land(3)
	out, err = s.program(settings{catalog: c}).start(t.Context(), "run-3")
	succeeded(t, out, err)
	s.agrees(c, published)
	late := s.program(settings{catalog: c})
	for _, x := range calls {
		if _, err := late.steps[x.name](t.Context(), x.in); err != nil && fault.KindOf(err) != fault.Stale {
			t.Errorf("a late %s %s: %v", x.name, x.in, err)
		}
	}
	s.agrees(c, published)
}

// declared is the shop's pipeline.
func (l *lab) declared() *pipeline.Pipeline {
	l.t.Helper()
	p, err := pipeline.Load(l.bundle)
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}
