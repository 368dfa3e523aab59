package pipeline_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/shared/pipeline"
)

// The retail pipeline as a whole: order, levels, dependents, rules.
func TestRetail(t *testing.T) {
	p, err := pipeline.Load(retail(t))
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, table := range p.Tables {
		order = append(order, table.FullName())
	}
	want := strings.Fields(`bronze.raw_orders bronze.raw_customers bronze.raw_products
		silver.cleaned_customers silver.cleaned_orders silver.cleaned_products
		gold.dim_products gold.dim_customers gold.fact_orders gold.customer_features gold.daily_revenue`)
	if diff := cmp.Diff(want, order); diff != "" {
		t.Error("order", diff)
	}
	silver := [][]string{{"silver.cleaned_customers", "silver.cleaned_products"}, {"silver.cleaned_orders"}}
	if diff := cmp.Diff(silver, p.Levels(pipeline.Silver)); diff != "" {
		t.Error("silver levels", diff)
	}
	gold := [][]string{{"gold.dim_products", "gold.dim_customers"}, {"gold.fact_orders"}, {"gold.customer_features", "gold.daily_revenue"}}
	if diff := cmp.Diff(gold, p.Levels(pipeline.Gold)); diff != "" {
		t.Error("gold levels", diff)
	}
	down := strings.Fields("silver.cleaned_orders gold.dim_customers gold.fact_orders gold.customer_features gold.daily_revenue")
	if diff := cmp.Diff(down, p.Downstream("silver.cleaned_customers")); diff != "" {
		t.Error("downstream", diff)
	}
	fact, _ := p.Table("gold.fact_orders")
	if diff := cmp.Diff(strings.Fields("gold.dim_customers gold.dim_products silver.cleaned_orders"), fact.Inputs); diff != "" {
		t.Error("inputs", diff)
	}
	if src, s, ok := p.Stream("landing.orders"); !ok || src.Settings.Text("path", "") != "landing/retail" || s.Settings.Text("path", "") != "{batch}/orders/*.csv" || s.Settings.Text("format", "") != "csv" {
		t.Errorf("stream %+v of %+v", s, src)
	}
}

func TestRetailRules(t *testing.T) {
	p, err := pipeline.Load(retail(t))
	if err != nil {
		t.Fatal(err)
	}
	orders, _ := p.Table("silver.cleaned_orders")
	var rules, tests []string
	for _, r := range orders.Rules {
		rules = append(rules, fmt.Sprintf("%s %s: %s", r.Name, r.OnFailure, r.Expr))
	}
	for _, x := range orders.Tests {
		tests = append(tests, fmt.Sprintf("%s %s %s%s", x.Name, x.OnFailure, x.Column, x.Expr))
	}
	if len(rules) != 7 || rules[3] != "bad_quantity quarantine: quantity > 0" || orders.QuarantineName() != "silver.quarantine_orders" {
		t.Error(rules)
	}
	want := []string{"not_null_order_id fail order_id", "not_null_customer_id fail customer_id", "not_null_product_id fail product_id",
		"not_null_order_ts fail order_ts", "unique_order_id fail ", "control_total fail quantity * unit_price", "relationships_customer_id fail customer_id"}
	if diff := cmp.Diff(want, tests); diff != "" {
		t.Error(diff)
	}
	revenue, _ := p.Table("gold.daily_revenue")
	tests = nil
	for _, x := range revenue.Tests {
		tests = append(tests, x.Name)
	}
	want = strings.Fields("revenue_adds_up not_null_order_date not_null_currency not_null_orders not_null_units not_null_revenue not_null_revenue_usd unique_order_date_currency known_currency not_empty")
	if diff := cmp.Diff(want, tests); diff != "" {
		t.Error(diff)
	}
}

// Quality entries of a contract become the test that says the same, or an expression that does.
func TestContractQuality(t *testing.T) {
	b := pipeline.Bundle{Root: pipeline.RootFile, Files: baseFiles(t)}
	b.Files[pipeline.RootFile] = `
name: p
lake: lake
sources: { in: { connector: files, path: x, streams: { r: { path: "*.csv", format: csv } } } }
bronze: { raw: { stream: in.r } }
silver: { s: { model: silver/s.sql, materialized: append } }
gold: { g: { model: gold/g.sql, materialized: full, contract: contracts/g.json, quality: [{ unique: id, on_failure: warn }] } }
`
	b.Files["contracts/g.json"] = `{"apiVersion": "v3.1.0", "kind": "DataContract", "id": "g", "version": "1.0.0", "status": "active",
 "schema": [{"name": "g", "properties": [
  {"name": "id", "physicalType": "bigint", "unique": true},
  {"name": "v", "physicalType": "string", "quality": [
    {"metric": "nullValues", "mustBe": 0, "severity": "warning"},
    {"metric": "nullValues", "mustBeLessThan": 5, "unit": "percent", "name": "few_nulls"},
    {"metric": "missingValues", "mustBe": 0, "arguments": {"missingValues": [null, "", "O'Neil"]}},
    {"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": ["a", 1, true]}},
    {"metric": "invalidValues", "mustBeLessOrEqualTo": 2, "arguments": {"validValues": ["a"]}},
    {"metric": "duplicateValues", "mustBe": 0},
    {"metric": "duplicateValues", "mustBeBetween": [1, 2.5]}]}],
  "quality": [{"metric": "rowCount", "mustBeGreaterThan": 0}, {"metric": "rowCount", "mustBeBetween": [1, 9]}, {"metric": "rowCount", "mustNotBe": 7},
    {"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": ["id", "v"]}},
    {"metric": "duplicateValues", "mustBeLessThan": 3, "arguments": {"properties": ["id", "v"]}}]}]}`
	p, err := pipeline.Load(b)
	if err != nil {
		t.Fatal(err)
	}
	g, _ := p.Table("gold.g")
	var got []string
	for _, x := range g.Tests {
		line := fmt.Sprintf("%s %s %s %v%v", x.Name, x.Kind, x.OnFailure, x.Columns, x.Values)
		if x.Min != nil {
			line += fmt.Sprintf(" min %d", *x.Min)
		}
		if x.Max != nil {
			line += fmt.Sprintf(" max %d", *x.Max)
		}
		got = append(got, strings.TrimSpace(line+" "+x.Expr))
	}
	want := []string{
		"unique_id unique fail [id][]", // pipeline.yaml only warns, the contract is stricter
		"not_null_v not_null warn [v][]",
		"few_nulls expression fail [][] (coalesce(100.0 * (count(CASE WHEN v IS NULL THEN 1 END)) / nullif(count(*), 0), 0)) < 5",
		"expression expression fail [][] (count(CASE WHEN v IS NULL OR CAST(v AS STRING) IN ('', 'O''Neil') THEN 1 END)) = 0",
		"accepted_values_v accepted_values fail [][a 1 true]",
		"expression_2 expression fail [][] (count(CASE WHEN CAST(v AS STRING) NOT IN ('a') THEN 1 END)) <= 2",
		"unique_v unique fail [v][]",
		"expression_3 expression fail [][] (count(v) - count(DISTINCT v)) BETWEEN 1 AND 2.5",
		"row_count row_count fail [][] min 1",
		"row_count_2 row_count fail [][] min 1 max 9",
		"expression_4 expression fail [][] (count(*)) <> 7",
		"unique_id_v unique fail [id v][]",
		"expression_5 expression fail [][] (count(CASE WHEN id IS NOT NULL AND v IS NOT NULL THEN 1 END) - count(DISTINCT CASE WHEN id IS NOT NULL AND v IS NOT NULL THEN (id, v) END)) < 3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
