package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/pipeline"
)

type sparkRequest struct {
	Lake   string            `json:"lake"`
	Tables map[string]string `json:"tables"`
	Feeds  []string          `json:"feeds,omitempty"`
	Insert string            `json:"insert,omitempty"`
	Models map[string]string `json:"models,omitempty"`
}

type sparkAnswer struct {
	Seconds map[string]float64
	Tables  map[string][2]int64
	Feeds   map[string]map[string]int64
	Models  map[string]struct {
		Error string
		Types map[string]string
		Rows  int64
	}
}

func spark(t *testing.T, r sparkRequest) (out sparkAnswer) {
	t.Helper()
	folder := os.Getenv("LAKESTEP_TEST_SPARK")
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), filepath.Join(folder, "venv/bin/python"), "testdata/spark.py")
	cmd.Stdin, cmd.Stderr, cmd.Dir = bytes.NewReader(raw), &stderr, "."
	answer, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(string(answer)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &out); err != nil {
		t.Fatalf("%v\n%s", err, answer)
	}
	t.Logf("seconds: %v", out.Seconds)
	return out
}

// column is how the text of a value is written in both dialects; "" for floating point, which they print differently.
func columnText(f delta.Field, micros string) string {
	name := `"` + f.Name + `"`
	switch f.Type.String() {
	case "double", "float":
		return ""
	case "timestamp":
		name = micros + "(" + name + ")"
	}
	return "coalesce(cast(" + name + " AS string), '~')"
}

// checksums are the SQL of rows and a sum of hashes: Spark's, and the engine's.
func checksums(s delta.Schema) (theirs, ours string) {
	var a, b []string
	for _, f := range s.Fields {
		if text := columnText(f, "unix_micros"); text != "" {
			a, b = append(a, strings.ReplaceAll(text, `"`, "`")), append(b, columnText(f, "epoch_us"))
		}
	}
	return "SELECT count(*), sum(cast(conv(substr(md5(concat_ws('|', " + strings.Join(a, ", ") + ")), 1, 8), 16, 10) AS bigint)) FROM {table}",
		"SELECT count(*) AS n, coalesce(sum(CAST('0x' || substr(md5(concat_ws('|', " + strings.Join(b, ", ") + ")), 1, 8) AS BIGINT)), 0)::BIGINT AS h FROM "
}

// request asks Spark about every table, and the lake itself for the answer.
func (j job) request(t *testing.T) (sparkRequest, map[string][2]int64) {
	t.Helper()
	r, want := sparkRequest{Lake: j.lake, Tables: map[string]string{}}, map[string][2]int64{}
	flags := []string{"--lake", j.lake, "-p", retail}
	for _, d := range lakestep[[]described](t, append([]string{"table", "list"}, flags...)...) {
		show := lakestep[struct {
			Schema     delta.Schema
			Properties map[string]string
		}](t, append([]string{"table", "show", d.Table}, flags...)...)
		theirs, ours := checksums(show.Schema)
		r.Tables[d.Table] = theirs
		rows := lakestep[[]struct{ N, H int64 }](t, append([]string{"query", ours + d.Table}, flags...)...)
		want[d.Table] = [2]int64{rows[0].N, rows[0].H}
		if show.Properties["delta.enableChangeDataFeed"] == "true" {
			r.Feeds = append(r.Feeds, d.Table)
		}
	}
	return r, want
}

// models are the SQL of the retail pipeline, on views.
func models(t *testing.T) map[string]string {
	t.Helper()
	b, err := pipeline.ReadBundle(retail, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pipeline.Load(b)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, table := range p.Tables {
		if table.Model == nil {
			continue
		}
		rendered, err := table.Model.Render(func(_ pipeline.Kind, name string) string { return strings.Replace(name, ".", "_", 1) })
		if err != nil {
			t.Fatal(err)
		}
		out[table.Model.File] = rendered.SQL
	}
	return out
}

// Spark reads every table as lakestep does, from a checkpoint too, and its feeds; what it inserts comes through; and the models are Spark SQL.
func TestSpark(t *testing.T) {
	if os.Getenv("LAKESTEP_LONG") == "" || os.Getenv("LAKESTEP_TEST_SPARK") == "" {
		t.Skip("SKIPPED: Spark reads the lake in `make test/long` only (LAKESTEP_LONG, LAKESTEP_TEST_SPARK)")
	}
	j := job{landing: filepath.Join(t.TempDir(), "landing"), lake: filepath.Join(t.TempDir(), "lake")}
	lakestep[any](t, "sample", j.landing)
	copyTree(t, "testdata/landing", j.landing)
	j.run(t)
	const header = "order_id,customer_id,product_id,quantity,unit_price,currency,status,order_ts,updated_at\n"
	for i := range 12 {
		dir := filepath.Join(j.landing, fmt.Sprintf("e%02d", i), "orders")
		line := fmt.Sprintf("1,c1,p1,%d,1.50,EUR,shipped,2026-01-01T10:00:00Z,2026-03-%02dT10:00:00Z\n%d,c2,p1,0,1.50,USD,,x,\n", i+1, i+1, i)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "o.csv"), []byte(header+line), 0o644); err != nil {
			t.Fatal(err)
		}
		j.run(t)
	}
	for _, table := range []string{"bronze/raw_orders", "silver/cleaned_orders", "gold/fact_orders"} {
		if found, _ := filepath.Glob(filepath.Join(j.lake, table, "_delta_log", "*.checkpoint.parquet")); len(found) == 0 {
			t.Errorf("%s has no checkpoint", table)
		}
	}
	r, want := j.request(t)
	r.Insert = `INSERT INTO {table:bronze.raw_orders} SELECT '777777777' AS order_id, customer_id, product_id, quantity, unit_price, currency, status,
		order_ts, updated_at, _source_file, _ingested_at, _batch_id FROM {table:bronze.raw_orders} WHERE order_id = '2' AND _source_file LIKE '%a.csv'`
	r.Models = models(t)
	got := spark(t, r)
	if diff := cmp.Diff(want, got.Tables); diff != "" {
		t.Errorf("rows and checksums (-lakestep +Spark)\n%s", diff)
	}
	for name, kinds := range got.Feeds {
		if kinds["insert"]-kinds["delete"] != want[name][0] || kinds["update_preimage"] != kinds["update_postimage"] {
			t.Errorf("%s: its feed in Spark has %v, the table %d rows", name, kinds, want[name][0])
		}
	}
	if len(got.Feeds) < 4 || got.Feeds["silver.cleaned_orders"]["update_postimage"] != 12 {
		t.Errorf("feeds %v", got.Feeds)
	}
	for file, m := range got.Models {
		if m.Error != "" {
			t.Errorf("%s is no Spark SQL: %s", file, m.Error)
		}
	}
	if len(got.Models) != 8 {
		t.Errorf("%d models", len(got.Models))
	}

	if after := j.run(t); after.Counts.Read != 1 || after.Counts.Accepted != 1 {
		t.Errorf("Spark's row: %+v", after.Counts)
	}
	r, want = j.request(t)
	if diff := cmp.Diff(want, spark(t, r).Tables); diff != "" {
		t.Errorf("after Spark's insert (-lakestep +Spark)\n%s", diff)
	}
}
