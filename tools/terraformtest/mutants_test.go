package terraformtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lakestep/lakestep/tools/terraformtest"
	"github.com/lakestep/lakestep/tools/tfprovider"
)

// TestMutants shows that the checks bite: it makes every mistake of four kinds in every argument of every resource of the modules, one at a time,
// and wants it found: by `terraform validate` (the schema and the provider's rules), by plan or apply (what must be there, what is known late only), or by the
// properties in testdata. What nothing finds stands in testdata/misses.txt with the reason. All take minutes: `make test/terraform`. Else a
// sample is tried, or those of -mutants "drop modules/lake".
func TestMutants(t *testing.T) {
	schema := terraformtest.Schema(t)
	modules, err := filepath.Glob(filepath.Join(terraformtest.Root(t), "terraform", "modules", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var mutants []terraformtest.Mutant
	for _, m := range modules {
		mutants = append(mutants, terraformtest.Mutants(t, schema, filepath.Join(terraformtest.Root(t), "terraform"), filepath.Join("modules", filepath.Base(m)))...)
	}
	total := len(mutants)
	switch {
	case *chosen != "":
		re := regexp.MustCompile(*chosen)
		mutants = slices.DeleteFunc(mutants, func(m terraformtest.Mutant) bool { return !re.MatchString(m.Name()) })
	case !whole():
		mutants = spread(mutants, 3)
	}
	h := &hunt{schema: schema, stack: all(), verdicts: map[string]string{}, kinds: map[string]string{}}
	h.run(t, mutants)
	if t.Failed() {
		return
	}
	t.Logf("SCORE: terraform: %d of %d mutants tried: %s", len(mutants), total, h.score())
	known := misses(t)
	for name, by := range h.verdicts {
		reason, listed := known[name]
		switch {
		case by == "" && !listed:
			t.Errorf("nothing finds the mutant %q", name)
		case by != "" && listed && reason != "":
			t.Errorf("testdata/misses.txt lists %q, which %s finds", name, by)
		}
	}
	if whole() && *chosen == "" {
		for name := range known {
			if _, there := h.verdicts[name]; !there {
				t.Errorf("testdata/misses.txt lists %q, which does not exist", name)
			}
		}
	}
}

var chosen = flag.String("mutants", "", "try the mutants whose names match this regular expression")

// spread takes a few of each kind, spread over all.
func spread(mutants []terraformtest.Mutant, each int) (some []terraformtest.Mutant) {
	byKind := map[string][]terraformtest.Mutant{}
	for _, m := range mutants {
		byKind[m.Kind] = append(byKind[m.Kind], m)
	}
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		l := byKind[kind]
		for i := range min(each, len(l)) {
			some = append(some, l[i*len(l)/each])
		}
	}
	return some
}

// misses are the mutants that nothing finds, with the reasons.
func misses(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "misses.txt"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, ok := strings.Cut(line, ": ")
		if !ok {
			t.Fatalf("misses.txt: %q has no reason", line)
		}
		known[name] = reason
	}
	return known
}

// hunt tries mutants, several at a time, each in a copy of the tree.
type hunt struct {
	schema *tfprovider.Schema
	stack  stack

	mu       sync.Mutex
	verdicts map[string]string // by mutant, what found it
	kinds    map[string]string
}

func (h *hunt) run(t *testing.T, mutants []terraformtest.Mutant) {
	work := make(chan terraformtest.Mutant)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(mutants)) {
		w := h.worker(t)
		wg.Go(func() {
			for m := range work {
				by, err := w.try(t.Context(), m)
				if err != nil {
					t.Errorf("%s: %v", m.Name(), err)
				}
				h.mu.Lock()
				h.verdicts[m.Name()], h.kinds[m.Name()] = by, m.Kind
				h.mu.Unlock()
			}
		})
	}
	for _, m := range mutants {
		work <- m
	}
	close(work)
	wg.Wait()
}

// score is a line such as "drop 98/100 (validate 12, apply 30, properties 56)".
func (h *hunt) score() string {
	counts := map[string]map[string]int{}
	for name, by := range h.verdicts {
		kind := h.kinds[name]
		if counts[kind] == nil {
			counts[kind] = map[string]int{}
		}
		counts[kind][by]++
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		c, all := counts[kind], 0
		for _, n := range c {
			all += n
		}
		parts = append(parts, fmt.Sprintf("%s %d/%d found (validate %d, plan or apply %d, properties %d)", kind, all-c[""], all, c["validate"], c["plan or apply"], c["properties"]))
	}
	return strings.Join(parts, "; ")
}

type worker struct {
	tree        string
	cli         terraformtest.CLI
	properties  []terraformtest.Property
	permissions []string
	schema      *tfprovider.Schema
}

func (h *hunt) worker(t *testing.T) worker {
	t.Helper()
	tree := t.TempDir()
	terraformtest.Copy(t, tree)
	cli := terraformtest.New(t, filepath.Join(tree, "terraform", h.stack.folder), h.schema, nil)
	return worker{tree: tree, cli: cli, properties: h.stack.properties(t), permissions: granted(t, h.stack), schema: h.schema}
}

// try gives what finds a mutant, "" for nothing. Three sieves, the cheap ones first: validate; a plan of the mutant's module alone, by a provider that
// plans as apply would; and for what is left apply of all.
func (w worker) try(ctx context.Context, m terraformtest.Mutant) (by string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	path := filepath.Join(w.tree, "terraform", m.File)
	original, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.WriteFile(path, original, 0o644)) }()
	if err := os.WriteFile(path, m.Text, 0o644); err != nil {
		return "", err
	}
	if m.Kind == "rename" || m.Kind == "mistype" { // what is missing or another is found by a plan
		if found, err := w.invalid(ctx); found || err != nil {
			return "validate", err
		}
	}
	if by, err := w.plan(ctx, m.File); by != "" || err != nil {
		return by, err
	}
	return w.apply(ctx)
}

// invalid tells whether validate refuses the configuration.
func (w worker) invalid(ctx context.Context) (bool, error) {
	out, _ := w.cli.Run(ctx, "validate", "-json", "-no-color")
	var result struct{ Valid *bool }
	if err := json.Unmarshal([]byte(out), &result); err != nil || result.Valid == nil {
		return false, fmt.Errorf("terraform validate says %q", out)
	}
	return !*result.Valid, nil
}

// plan tells what finds the mutant in a plan of the module that the file is of.
func (w worker) plan(ctx context.Context, file string) (string, error) {
	resources, err := w.ahead(ctx, "module.lakestep.module."+filepath.Base(filepath.Dir(file)))
	if err != nil {
		return refused(err)
	}
	for _, p := range w.properties {
		if p.About(resources) && p.Check(resources) != nil {
			return "properties", nil
		}
	}
	return "", nil
}

// ahead gives what a module would be if it were applied to an empty account.
func (w worker) ahead(ctx context.Context, module string) (terraformtest.Resources, error) {
	provider, err := tfprovider.New(w.schema, account())
	if err != nil {
		return nil, err
	}
	cli, end, err := w.serve(ctx, provider.Ahead())
	if err != nil {
		return nil, err
	}
	defer end()
	if _, err := cli.Run(ctx, "plan", "-target="+module, "-out=plan", "-refresh=false", "-lock=false", "-input=false", "-no-color"); err != nil {
		return nil, err
	}
	planned, err := cli.Plan(ctx, "plan")
	return terraformtest.Index(planned), err
}

// apply tells what finds the mutant when all is applied.
func (w worker) apply(ctx context.Context) (string, error) {
	provider, err := tfprovider.New(w.schema, account())
	if err != nil {
		return "", err
	}
	cli, end, err := w.serve(ctx, provider)
	if err != nil {
		return "", err
	}
	defer end()
	for _, old := range []string{"terraform.tfstate", "terraform.tfstate.backup"} {
		if err := os.Remove(filepath.Join(cli.Dir, old)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	if _, err = cli.Run(ctx, "apply", "-auto-approve", "-input=false", "-no-color", "-refresh=false", "-lock=false"); err != nil {
		return refused(err)
	}
	state, err := cli.State(ctx)
	if err != nil {
		return "", err
	}
	if err := os.Remove(filepath.Join(cli.Dir, "terraform.tfstate")); err != nil { // plans are of an empty account
		return "", err
	}
	resources := terraformtest.Index(state.Values)
	for _, p := range w.properties {
		if p.Check(resources) != nil {
			return "properties", nil
		}
	}
	if got, err := permissions(resources); err != nil || !slices.Equal(got, w.permissions) {
		return "properties", nil
	}
	return "", nil
}

// serve gives Terraform with a provider, until it is ended.
func (w worker) serve(ctx context.Context, provider *tfprovider.Provider) (terraformtest.CLI, context.CancelFunc, error) {
	ctx, end := context.WithCancel(ctx)
	env, err := terraformtest.Serve(ctx, provider)
	cli := w.cli
	cli.Env = env
	return cli, end, err
}

// refused tells a mistake that Terraform found from a Terraform that did not run.
func refused(err error) (string, error) {
	var failed *terraformtest.Failed
	if errors.As(err, &failed) && strings.Contains(failed.Output, "Error: ") {
		return "plan or apply", nil
	}
	return "", err
}
