package glue_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	vendor "github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/shared/catalog"
	"github.com/lakestep/lakestep/shared/catalog/glue"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store/storetest"
)

// The tests against moto, a server that is not ours, share one.
func TestMoto(t *testing.T) {
	m := storetest.Moto(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, storetest.Service)
	}{
		{"Create", testCreate}, {"ChangesArePropagated", testChangesArePropagated}, {"Archive", testArchive}, {"Mended", testMended}, {"Late", testLate},
		{"Foreign", testForeign}, {"Prune", testPrune}, {"DatabasePerLayer", testDatabasePerLayer}, {"DryRun", testDryRun}, {"Race", testRace},
		{"AnotherReaderAgrees", testAnotherReaderAgrees},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, m) })
	}
}

// The entry is a native Delta table, as Athena's DDL would make it, with columns.
func testCreate(t *testing.T, m storetest.Service) {
	r := newRig(t, m, "shop")
	c := r.catalog(glue.Options{Database: "shop"})
	r.want(c, orders(), catalog.Created, nil, "GetTable", "CreateTable")

	got := r.get("shop", "silver_orders")
	if got == nil {
		t.Fatal("there is no entry")
	}
	type entry struct {
		Type, Description, Location      string
		Columns, Keys                    []string
		Parameters, Serde                map[string]string
		InputFormat, OutputFormat, Class string
	}
	sd := got.StorageDescriptor
	have := entry{*got.TableType, *got.Description, *sd.Location, columns(sd.Columns), columns(got.PartitionKeys), got.Parameters, sd.SerdeInfo.Parameters,
		*sd.InputFormat, *sd.OutputFormat, *sd.SerdeInfo.SerializationLibrary}
	want := entry{
		Type: "EXTERNAL_TABLE", Description: "The newest version of each order.", Location: "s3://bucket/lake/silver/orders/",
		Columns: []string{"order_id bigint (The shop's id.)", "amount decimal(12,2) (In euros.)", "lines array<struct<sku:string,n:int>>", "at timestamp"},
		Keys:    []string{"day date"},
		Parameters: map[string]string{
			"EXTERNAL": "TRUE", "table_type": "delta", "spark.sql.sources.provider": "delta", "classification": "delta",
			"lakestep.table": "silver.orders", "lakestep.pipeline": "shop", "lakestep.lake": "s3://bucket/lake", "lakestep.id": "id-1", "lakestep.version": "3",
			"lakestep.run": "20261128-0700",
		},
		Serde:       map[string]string{"path": "s3://bucket/lake/silver/orders/", "serialization.format": "1"},
		InputFormat: "org.apache.hadoop.mapred.SequenceFileInputFormat", OutputFormat: "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat",
		Class: "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	r.want(c, orders(), catalog.Unchanged, nil, "GetTable")
	if again := r.get("shop", "silver_orders"); *again.VersionId != *got.VersionId {
		t.Errorf("registered again the entry went from version %s to %s", *got.VersionId, *again.VersionId)
	}
}

func testChangesArePropagated(t *testing.T, m storetest.Service) {
	r := newRig(t, m, "shop")
	c := r.catalog(glue.Options{Database: "shop"})
	table := orders()
	r.want(c, table, catalog.Created, nil, "GetTable", "CreateTable")
	// Somebody writes into the entry what is none of ours.
	r.change("shop", r.get("shop", "silver_orders"), func(in *types.TableInput) {
		in.Owner, in.Retention = aws.String("ada"), 7
		in.Parameters["team"], in.Parameters["delta.lastUpdateVersion"] = "sales", "3"
		in.StorageDescriptor.Columns[0].Parameters = map[string]string{"pii": "no"}
	})
	r.want(c, table, catalog.Unchanged, nil, "GetTable")

	for _, step := range []struct {
		name    string
		change  func()
		what    []string
		archive bool
	}{
		{"a column more", func() {
			table.Schema.Fields = append(slices.Clone(table.Schema.Fields), field("email", delta.String, "Where to write."))
		}, []string{"new column email", "version"}, true},
		{"another comment", func() { table.Schema.Fields[0] = field("order_id", delta.Long, "Of the shop.") }, []string{"comment of column order_id", "version"}, true},
		{"no comment", func() { table.Schema.Fields[0] = field("order_id", delta.Long, "") }, []string{"comment of column order_id", "version"}, true},
		{"a wider type", func() { table.Schema.Fields[2] = field("Amount", delta.Decimal(20, 2), "In euros.") }, []string{"type of column amount", "version"}, true},
		{"another description", func() { table.Description = "All orders." }, []string{"description", "version"}, true},
		{"a column less", func() { table.Schema.Fields = table.Schema.Fields[:4] }, []string{"no more column at", "no more column email", "version"}, true},
		{"another order", func() {
			f := table.Schema.Fields
			table.Schema.Fields = []delta.Field{f[2], f[1], f[0], f[3]}
		}, []string{"order of columns", "version"}, true},
		{"another partitioning", func() { table.Partitions = []string{"Amount"} },
			[]string{"new column day", "no more column amount", "new partition key amount", "no more partition key day", "version"}, true},
		{"another version only", func() {}, []string{"version"}, false},
	} {
		t.Run(step.name, func(t *testing.T) {
			table.Version++
			step.change()
			r.want(c, table, catalog.Updated, step.what, "GetTable", "UpdateTable")
			r.want(c, table, catalog.Unchanged, nil, "GetTable")
		})
	}
	got := r.get("shop", "silver_orders")
	if diff := cmp.Diff([]string{"day date", "order_id bigint", "lines array<struct<sku:string,n:int>>"}, columns(got.StorageDescriptor.Columns)); diff != "" {
		t.Error(diff)
	}
	if got := columns(got.PartitionKeys); !slices.Equal(got, []string{"amount decimal(20,2) (In euros.)"}) {
		t.Error(got)
	}
	if aws.ToString(got.Owner) != "ada" || got.Retention != 7 || got.Parameters["team"] != "sales" || got.Parameters["delta.lastUpdateVersion"] != "3" ||
		got.StorageDescriptor.Columns[1].Parameters["pii"] != "no" || got.Parameters["lakestep.version"] != fmt.Sprint(table.Version) {
		t.Errorf("%+v %v", got, got.Parameters)
	}
}

// Glue keeps the version before a change of what the table is like, and none for each run.
func testArchive(t *testing.T, m storetest.Service) {
	r := newRig(t, m, "shop")
	c := r.catalog(glue.Options{Database: "shop"})
	table := orders()
	r.want(c, table, catalog.Created, nil, "GetTable", "CreateTable")
	var updates []request
	r.spy.on(func(q request) *http.Response {
		if q.op == "UpdateTable" {
			updates = append(updates, q)
		}
		return nil
	})
	table.Version, table.Run = 4, "20261128-0800"
	r.want(c, table, catalog.Updated, []string{"version"}, "GetTable", "UpdateTable")
	table.Version, table.Description = 5, "Other."
	r.want(c, table, catalog.Updated, []string{"description", "version"}, "GetTable", "UpdateTable")
	if len(updates) != 2 || !*updates[0].input(t).SkipArchive || *updates[1].input(t).SkipArchive {
		t.Errorf("%s", updates)
	}
	if a, b := updates[0].input(t).VersionId, updates[1].input(t).VersionId; a == "" || a == b {
		t.Errorf("the updates are of versions %q and %q of the entry", a, b)
	}
}

// Somebody else's change of what is ours is undone.
func testMended(t *testing.T, m storetest.Service) {
	r := newRig(t, m, "shop")
	c := r.catalog(glue.Options{Database: "shop"})
	r.want(c, orders(), catalog.Created, nil, "GetTable", "CreateTable")
	for _, tt := range []struct {
		spoil func(*types.TableInput)
		what  string
	}{
		{func(in *types.TableInput) { in.StorageDescriptor.Location = aws.String("s3://elsewhere/") }, "location"},
		{func(in *types.TableInput) { in.StorageDescriptor.SerdeInfo.Parameters = nil }, "location"},
		{func(in *types.TableInput) { in.Parameters["table_type"] = "ICEBERG" }, "format"},
		{func(in *types.TableInput) { in.StorageDescriptor.InputFormat = aws.String("x") }, "format"},
		{func(in *types.TableInput) { in.TableType = aws.String("VIRTUAL_VIEW") }, "format"},
		{func(in *types.TableInput) { in.Description = nil }, "description"},
		{func(in *types.TableInput) { in.Parameters["lakestep.pipeline"] = "renamed" }, "version"},
	} {
		r.change("shop", r.get("shop", "silver_orders"), tt.spoil)
		r.want(c, orders(), catalog.Updated, []string{tt.what}, "GetTable", "UpdateTable")
	}
	r.change("shop", r.get("shop", "silver_orders"), func(in *types.TableInput) { in.StorageDescriptor = nil })
	if got, err := c.Register(t.Context(), orders()); err != nil || got.Action != catalog.Updated || r.get("shop", "silver_orders").StorageDescriptor == nil {
		t.Errorf("%+v %v", got, err)
	}
}

// A step that comes late does not take the entry back to an older version of the table; one of a table made anew replaces it.
func testLate(t *testing.T, m storetest.Service) {
	r := newRig(t, m, "shop")
	c := r.catalog(glue.Options{Database: "shop"})
	table := orders()
	r.want(c, table, catalog.Created, nil, "GetTable", "CreateTable")
	late := table
	late.Version, late.Schema = 2, delta.Schema{Fields: table.Schema.Fields[:2]}
	r.want(c, late, catalog.Unchanged, nil, "GetTable")
	late.ID, late.Version = "id-2", 0
	r.want(c, late, catalog.Updated, []string{"no more column amount", "no more column at", "no more column lines", "version"}, "GetTable", "UpdateTable")
}

func testForeign(t *testing.T, m storetest.Service) {
	r := newRig(t, m, "shop")
	c := r.catalog(glue.Options{Database: "shop"})
	refuse := func(t *testing.T, table catalog.Table, says ...string) {
		t.Helper()
		before := r.get("shop", "silver_orders")
		r.spy.ops()
		_, err := c.Register(t.Context(), table)
		said := fmt.Sprint(err, " ", fault.HintOf(err))
		for _, s := range says {
			if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(said, s) {
				t.Errorf("%s, without %q", said, s)
			}
		}
		if ops := r.spy.ops(); !slices.Equal(ops, []string{"GetTable"}) {
			t.Error(ops)
		}
		if after := r.get("shop", "silver_orders"); *after.VersionId != *before.VersionId {
			t.Error("the entry was changed")
		}
		if removed, err := c.Prune(t.Context(), catalog.Declared{Pipeline: "shop", Lake: table.Lake}); err != nil || len(removed) > 0 {
			t.Error(removed, err)
		}
	}
	r.put("shop", &types.TableInput{Name: aws.String("silver_orders"), Parameters: map[string]string{"table_type": "delta"},
		StorageDescriptor: &types.StorageDescriptor{Location: aws.String("s3://theirs/orders")}})
	refuse(t, orders(), "shop.silver_orders", "did not register", "s3://theirs/orders", "aws glue delete-table --database-name shop --name silver_orders")

	if _, err := r.vendor.DeleteTable(t.Context(), &vendor.DeleteTableInput{DatabaseName: aws.String("shop"), Name: aws.String("silver_orders")}); err != nil {
		t.Fatal(err)
	}
	r.want(c, orders(), catalog.Created, nil, "GetTable", "CreateTable")
	other := orders()
	other.Lake, other.Location = "s3://bucket/dev", "s3://bucket/dev/silver/orders"
	refuse(t, other, "s3://bucket/lake", "s3://bucket/dev", "database of its own")
}

func testPrune(t *testing.T, m storetest.Service) {
	r := newRig(t, m, "shop")
	c := r.catalog(glue.Options{Database: "shop"})
	register := func(name string, change func(*catalog.Table)) {
		table := orders()
		table.Name, table.Location = name, table.Lake+"/"+strings.Replace(name, ".", "/", 1)
		if change != nil {
			change(&table)
		}
		if _, err := c.Register(t.Context(), table); err != nil {
			t.Fatal(err)
		}
	}
	register("silver.kept", nil)
	register("gold.dropped", nil)
	register("silver.dropped", nil)
	register("gold.newer", func(t *catalog.Table) { t.Run = "20261128-0900" })
	register("gold.other_pipeline", func(t *catalog.Table) { t.Pipeline = "other" })
	register("gold.other_lake", func(t *catalog.Table) { t.Lake = "s3://bucket/other" })
	r.put("shop", &types.TableInput{Name: aws.String("gold_foreign"), Parameters: map[string]string{"lakestep.pipeline": "shop", "lakestep.lake": "s3://bucket/lake"}})

	declared := catalog.Declared{Pipeline: "shop", Lake: "s3://bucket/lake", Run: "20261128-0800", Tables: []string{"silver.kept", "gold.not_yet"}}
	want := []catalog.Change{
		{Table: "gold.dropped", Entry: "shop.gold_dropped", Action: catalog.Removed}, {Table: "silver.dropped", Entry: "shop.silver_dropped", Action: catalog.Removed},
	}
	prune := func(c catalog.Catalog, want []catalog.Change) {
		t.Helper()
		got, err := c.Prune(t.Context(), declared)
		slices.SortFunc(got, func(a, b catalog.Change) int { return strings.Compare(a.Table, b.Table) })
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	prune(r.catalog(glue.Options{Database: "shop", DryRun: true}), want)
	prune(c, want)
	prune(c, nil)
	for name, there := range map[string]bool{"silver_kept": true, "gold_dropped": false, "silver_dropped": false, "gold_newer": true, "gold_other_pipeline": true,
		"gold_other_lake": true, "gold_foreign": true} {
		if (r.get("shop", name) != nil) != there {
			t.Errorf("%s: there %v, want %v", name, !there, there)
		}
	}
	declared.Run = ""
	prune(c, []catalog.Change{{Table: "gold.newer", Entry: "shop.gold_newer", Action: catalog.Removed}})
}

func testDatabasePerLayer(t *testing.T, m storetest.Service) {
	r := newRig(t, m, "lake_silver")
	c := r.catalog(glue.Options{Database: "lake_{layer}"})
	r.want(c, orders(), catalog.Created, nil, "GetTable", "CreateTable")
	if r.get("lake_silver", "orders") == nil {
		t.Error("lake_silver has no orders")
	}
	// There is no database for gold yet: nothing to prune, and a table cannot be registered.
	got, err := c.Prune(t.Context(), catalog.Declared{Pipeline: "shop", Lake: "s3://bucket/lake"})
	if err != nil || len(got) != 1 || got[0].Entry != "lake_silver.orders" {
		t.Error(got, err)
	}
	gold := orders()
	gold.Name = "gold.orders"
	both := newRig(t, m, "lake_silver", "lake_gold").catalog(glue.Options{Database: "lake_{layer}"})
	if _, err := both.Register(t.Context(), gold); err != nil {
		t.Error(err)
	}
	if got, err := both.Prune(t.Context(), catalog.Declared{Pipeline: "shop", Lake: "s3://bucket/lake"}); err != nil || len(got) != 1 || got[0].Entry != "lake_gold.orders" {
		t.Error(got, err)
	}
	r = newRig(t, m, "lake_silver")
	for _, dry := range []bool{false, true} {
		_, err = r.catalog(glue.Options{Database: "lake_{layer}", DryRun: dry}).Register(t.Context(), gold)
		if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), "no database lake_gold") || !strings.Contains(fault.HintOf(err), "create-database") {
			t.Errorf("%v, hint %q", err, fault.HintOf(err))
		}
	}
}

func testDryRun(t *testing.T, m storetest.Service) {
	r := newRig(t, m, "shop")
	dry, c := r.catalog(glue.Options{Database: "shop", DryRun: true}), r.catalog(glue.Options{Database: "shop"})
	table := orders()
	r.want(dry, table, catalog.Created, nil, "GetTable", "GetDatabase")
	if r.get("shop", "silver_orders") != nil {
		t.Error("the dry run made an entry")
	}
	r.want(c, table, catalog.Created, nil, "GetTable", "CreateTable")
	table.Description = "Other."
	r.want(dry, table, catalog.Updated, []string{"description"}, "GetTable")
	r.want(c, table, catalog.Updated, []string{"description"}, "GetTable", "UpdateTable")
}

// locking is what moto lacks: as in AWS, an update of an entry that is no longer at the version it names is refused (Glue API, UpdateTable).
func (r *rig) locking() {
	var entry sync.Mutex
	r.spy.on(func(q request) *http.Response {
		if q.op != "UpdateTable" {
			return nil
		}
		entry.Lock()
		defer entry.Unlock()
		if there := r.get("shop", q.input(r.t).TableInput.Name); there != nil && *there.VersionId != q.input(r.t).VersionId {
			r.refused++
			return problem(400, "ConcurrentModificationException")
		}
		req, err := http.NewRequest(http.MethodPost, *r.cfg.BaseEndpoint, strings.NewReader(string(q.body)))
		if err != nil {
			r.t.Error(err)
			return nil
		}
		req.Header = http.Header{"X-Amz-Target": {"AWSGlue.UpdateTable"}, "Content-Type": {"application/x-amz-json-1.1"},
			"Authorization": {"AWS4-HMAC-SHA256 Credential=tester/20261128/us-east-1/glue/aws4_request, SignedHeaders=host, Signature=0"}}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			r.t.Error(err)
		}
		return resp
	})
}

// However many register versions of one table at once, the entry is of the newest in the end.
func testRace(t *testing.T, m storetest.Service) {
	r := newRig(t, m, "shop")
	r.locking()
	c := r.catalog(glue.Options{Database: "shop"})
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			table := orders()
			table.Version = int64(10 + i)
			table.Schema.Fields = append(table.Schema.Fields, field(fmt.Sprint("added_", i), delta.String, ""))
			if _, err := c.Register(t.Context(), table); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	t.Logf("%d updates were refused", r.refused)
	got := r.get("shop", "silver_orders")
	if cols := columns(got.StorageDescriptor.Columns); got.Parameters["lakestep.version"] != "15" || !slices.Contains(cols, "added_5 string") || len(cols) != 5 {
		t.Errorf("version %s, columns %v", got.Parameters["lakestep.version"], cols)
	}
}

func TestNew(t *testing.T) {
	cfg := aws.Config{Region: "us-east-1"}
	for _, name := range []string{"", "Shop", "a.b", "a b", "{layers}", "shop;drop", strings.Repeat("x", 256)} {
		if _, err := glue.New(cfg, glue.Options{Database: name}); fault.KindOf(err) != fault.InvalidInput || fault.HintOf(err) == "" {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := glue.New(aws.Config{}, glue.Options{Database: "shop"}); fault.KindOf(err) != fault.InvalidInput || !strings.Contains(fault.HintOf(err), "AWS_REGION") {
		t.Error(err)
	}
	c, err := glue.New(cfg, glue.Options{Database: "{layer}"})
	if err != nil {
		t.Fatal(err)
	}
	table := orders()
	table.Location = "az://account/container/silver/orders"
	if _, err := c.Register(t.Context(), table); fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), "not in S3") {
		t.Error(err)
	}
}
