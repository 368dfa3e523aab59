package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/shared/delta"
)

// shop is the pipeline of functions/testdata/shop in a folder of its own, run by the real program.
type shop struct {
	t                      *testing.T
	binary                 string
	dir, pipeline, landing string
}

// TestProcesses runs the real program, built once, in processes that are killed, stopped and interrupted.
func TestProcesses(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "lakestep")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, *shop)
	}{{"Kill", testKill}, {"Interrupt", testInterrupt}, {"ResumeIsPinned", testResumeIsPinned}, {"SecondRun", testSecondRun},
		{"S3", testS3}, {"Azure", testAzure}} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newShop(t, binary)) })
	}
}

// newShop lays out the pipeline, with the first batch landed.
func newShop(t *testing.T, binary string) *shop {
	t.Helper()
	s := &shop{t: t, binary: binary, dir: t.TempDir()}
	s.pipeline, s.landing = filepath.Join(s.dir, "config"), filepath.Join(s.dir, "landing")
	if err := os.CopyFS(s.pipeline, os.DirFS("../../testdata/shop")); err != nil {
		t.Fatal(err)
	}
	s.land(1)
	return s
}

func (s *shop) land(batch int) {
	s.t.Helper()
	name := fmt.Sprint("batch-", batch)
	if err := os.CopyFS(filepath.Join(s.landing, name), os.DirFS(filepath.Join("../../testdata/shop/landing", name))); err != nil {
		s.t.Fatal(err)
	}
}

// lake is where the lake of that name is; a URL stands for itself.
func (s *shop) lake(name string) string {
	if compose.IsURL(name) {
		return name
	}
	return filepath.Join(s.dir, "lakes", name)
}

// result is how a process ended; code is -1 when it was killed.
type result struct {
	code           int
	stdout, stderr string
}

// process is the program at work.
type process struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

func (s *shop) start(args ...string) *process {
	s.t.Helper()
	p := &process{Cmd: exec.CommandContext(s.t.Context(), s.binary, args...)}
	p.Cmd.Stdout, p.Cmd.Stderr = &p.stdout, &p.stderr
	if err := p.Start(); err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (p *process) end(t *testing.T) result {
	t.Helper()
	err := p.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{p.ProcessState.ExitCode(), p.stdout.String(), p.stderr.String()}
}

// args are those of a command on a lake.
func (s *shop) args(lake string, more ...string) []string {
	return append([]string{"run", s.pipeline, "--lake", s.lake(lake), "--var", "landing=" + s.landing, "--memory", "512"}, more...)
}

func (s *shop) must(args ...string) result {
	s.t.Helper()
	r := s.start(args...).end(s.t)
	if r.code != 0 {
		s.t.Fatalf("lakestep %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r
}

// content is the rows of each table of a lake as sorted texts, without ingest times, and how often each was written.
func (s *shop) content(name string) (rows map[string][]string, versions map[string]int64) {
	s.t.Helper()
	l, err := openLake(s.t.Context(), place{Name: s.lake(name)})
	if err != nil {
		s.t.Fatal(err)
	}
	e, err := openEngine(s.dir, "look", limits{memoryMB: 512})
	if err != nil {
		s.t.Fatal(err)
	}
	defer e.Close()
	session, err := e.Session(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer session.Close()
	rows, versions = map[string][]string{}, map[string]int64{}
	for _, table := range []string{"bronze.raw_orders", "bronze.raw_customers", "bronze.rejected_rows", "silver.orders", "silver.quarantine_orders",
		"silver.customers", "silver.quarantine_customers", "gold.order_facts", "gold.customer_history", "gold.revenue"} {
		t, err := l.Open(s.t.Context(), table)
		if err != nil {
			s.t.Fatal(err)
		}
		relation, err := session.Relation(s.t.Context(), t.Live(t.Snap))
		if err != nil {
			s.t.Fatal(err)
		}
		if _, ok := t.Snap.Schema().Field("_ingested_at"); ok {
			relation = "(SELECT * EXCLUDE (_ingested_at) FROM " + relation + ")"
		}
		found, err := session.Strings(s.t.Context(), "SELECT CAST(t AS VARCHAR) FROM "+relation+" t")
		if err != nil {
			s.t.Fatal(err)
		}
		for _, r := range found {
			rows[table] = append(rows[table], r[0])
		}
		slices.Sort(rows[table])
		versions[table] = t.Snap.Version()
	}
	return rows, versions
}

// same compares two lakes.
func (s *shop) same(want, got string) {
	s.t.Helper()
	wantRows, wantVersions := s.content(want)
	gotRows, gotVersions := s.content(got)
	if diff := cmp.Diff(wantRows, gotRows) + cmp.Diff(wantVersions, gotVersions); diff != "" {
		s.t.Errorf("lake %s differs from %s (-want +got):\n%s", got, want, diff)
	}
}

// runKilled starts the program, kills it after a moment, and resumes it, several times, until it comes to its end.
func (s *shop) runKilled(lake string, random *rand.Rand, within time.Duration) (kills int) {
	s.t.Helper()
	before := s.journals(lake)
	for {
		args := s.args(lake)
		if s.journals(lake) > before { // else it was killed before it began
			args = append(args, "--resume")
		}
		p := s.start(args...)
		if kills < 5 {
			time.Sleep(time.Duration(random.Int64N(int64(within))))
			_ = p.Process.Kill()
		}
		r := p.end(s.t)
		switch {
		case r.code == 0:
			return kills
		case r.code == -1:
			kills++
		case r.code == 2 && strings.Contains(r.stderr, "the execution had not begun"):
			before++
		default:
			s.t.Fatalf("exit code %d after %d kills\n%s%s", r.code, kills, r.stdout, r.stderr)
		}
	}
}

// journals counts the runs that were begun.
func (s *shop) journals(lake string) int {
	where, err := placeOf(s.lake(lake))
	if err != nil {
		s.t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(where.Local, "_lakestep", "journals", "*.jsonl"))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(names)
}

// A program that is killed at any moment, and resumed, leaves what an undisturbed one leaves.
func testKill(t *testing.T, s *shop) {
	rounds := 3
	if os.Getenv("LAKESTEP_LONG") == "1" {
		rounds = 60
	}
	began := time.Now()
	s.must(s.args("calm")...)
	whole := time.Since(began)
	for i := range rounds {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		t.Logf("batch 1, lake %d: %d kills", i, s.runKilled(fmt.Sprint(i), random, whole))
		s.same("calm", fmt.Sprint(i))
	}
	s.land(2)
	s.must(s.args("calm")...)
	for i := range rounds {
		random := rand.New(rand.NewPCG(2, uint64(i)))
		t.Logf("batch 2, lake %d: %d kills", i, s.runKilled(fmt.Sprint(i), random, whole))
		s.same("calm", fmt.Sprint(i))
		if r := s.must(s.args(fmt.Sprint(i))...); !strings.Contains(r.stdout, "Nothing is new") {
			t.Errorf("a run afterwards: %s", r.stdout)
		}
		if left, _ := filepath.Glob(filepath.Join(s.lake(fmt.Sprint(i)), "_lakestep", "tmp", "*", "*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// begun waits until a lake's table has been published.
func (s *shop) begun(lake, table string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if l, err := openLake(s.t.Context(), place{Name: s.lake(lake)}); err == nil {
			if _, err := l.Delta(table).Snapshot(ctx, delta.AsOf{}); err == nil {
				return
			}
		}
		time.Sleep(time.Millisecond)
	}
	s.t.Fatalf("%s was not published", table)
}

// Ctrl-C says how to go on, and that works.
func testInterrupt(t *testing.T, s *shop) {
	s.must(s.args("calm")...)
	p := s.start(s.args("lake", "--parallel", "1")...)
	s.begun("lake", "bronze.raw_orders")
	if err := p.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	r := p.end(t)
	_, hint, ok := strings.Cut(r.stderr, "go on with: lakestep ")
	if r.code != 6 || !ok {
		t.Fatalf("exit code %d, want 6\n%s%s", r.code, r.stdout, r.stderr)
	}
	s.must(strings.Fields(hint)...)
	s.same("calm", "lake")
}

// A resumed run works on the pipeline as it was when the run began, whatever became of the files since.
func testResumeIsPinned(t *testing.T, s *shop) {
	s.must(s.args("calm")...)
	p := s.start(s.args("lake", "--parallel", "1")...)
	s.begun("lake", "bronze.raw_orders")
	_ = p.Process.Kill()
	if r := p.end(t); r.code != -1 {
		t.Fatalf("it ended before it was killed: %s", r.stdout)
	}
	for name, text := range map[string]string{"pipeline.yaml": "name: other\n", "gold/order_facts.sql": "SELECT 1 AS x", "silver/orders.sql": "no SQL"} {
		if err := os.WriteFile(filepath.Join(s.pipeline, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	bundles, err := filepath.Glob(filepath.Join(s.lake("lake"), "_lakestep", "bundles", "*.json"))
	if err != nil || len(bundles) != 1 {
		t.Fatalf("bundles %v: %v", bundles, err)
	}
	pinned, err := os.ReadFile(bundles[0])
	if err != nil {
		t.Fatal(err)
	}
	tampered := filepath.Join(s.dir, "lakes", "tampered")
	if err := os.CopyFS(tampered, os.DirFS(s.lake("lake"))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tampered, "_lakestep", "bundles", filepath.Base(bundles[0])), bytes.Replace(pinned, []byte("1.10"), []byte("9.99"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	r := s.start("run", s.pipeline, "--lake", tampered, "--resume").end(t)
	if r.code != 2 || !strings.Contains(r.stderr, "somebody changed the pinned pipeline") {
		t.Errorf("a tampered pipeline: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	s.must("run", s.pipeline, "--lake", s.lake("lake"), "--var", "landing=/nowhere", "--resume")
	s.same("calm", "lake")
}

// A second run while one is active exits 7 and leaves word; the first looks again and takes in what came meanwhile.
func testSecondRun(t *testing.T, s *shop) {
	s.must(s.args("calm")...)
	first := s.start(s.args("lake", "--parallel", "1")...)
	s.begun("lake", "bronze.raw_orders")
	if err := first.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	second := s.start(s.args("lake")...).end(t)
	resume := s.start(s.args("lake", "--resume")...).end(t)
	if err := first.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if second.code != 7 || resume.code != 6 {
		t.Errorf("exit codes %d and %d, want 7 and 6\n%s%s", second.code, resume.code, second.stderr, resume.stderr)
	}
	r := first.end(t)
	if r.code != 0 || !strings.Contains(r.stderr, "looking again") || !strings.Contains(r.stdout, "Nothing is new") {
		t.Errorf("the first run: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if _, err := os.Stat(filepath.Join(s.lake("lake"), "_lakestep", "again")); err == nil {
		t.Error("the word to look again is still there")
	}
	s.same("calm", "lake")
}

// Word to look again is never lost: either the active run finds it when it ends, or who left it finds the lock free.
func TestWordIsNotLost(t *testing.T) {
	folder := t.TempDir()
	for i := range 2000 {
		first, second := newLock(folder), newLock(folder)
		if ok, err := first.take(); !ok || err != nil {
			t.Fatal(ok, err)
		}
		entered := make(chan bool)
		go func() {
			ok, err := (&runOptions{globals: &globals{}}).enter(second)
			entered <- ok || err != nil
		}()
		time.Sleep(time.Duration(i%50) * time.Microsecond)
		again, err := first.release()
		if err != nil {
			t.Fatal(err)
		}
		in := <-entered
		if !in && !again {
			t.Fatalf("round %d: the word is lost", i)
		}
		if in {
			if _, err := second.release(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
