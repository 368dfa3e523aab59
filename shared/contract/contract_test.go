package contract_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/lakestep/lakestep/shared/contract"
	"github.com/lakestep/lakestep/shared/document"
	"github.com/lakestep/lakestep/shared/fault"
)

// corpus is the folder of the standard's schema and examples, beside the checkout.
func corpus(t testing.TB) string {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, e := os.Stat(filepath.Join(dir, "go.mod")); e == nil {
			odcs := filepath.Join(filepath.Dir(dir), "shared", "corpus", "odcs")
			if _, e := os.Stat(odcs); e == nil {
				return odcs
			}
			break
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	t.Skip("SKIPPED: ../shared/corpus/odcs is not there")
	return ""
}

func schema(t testing.TB) *jsonschema.Schema {
	s, err := jsonschema.NewCompiler().Compile(filepath.Join(corpus(t), "odcs-json-schema-v3.1.0.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(s *jsonschema.Schema, data []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

func TestOurContractsKeepTheStandard(t *testing.T) {
	s := schema(t)
	files, err := filepath.Glob("../../config/*/contracts/*.json")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(s, data); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		c, err := contract.Parse(file, data)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for _, o := range c.Objects {
			if len(o.Unsupported) > 0 || len(o.PrimaryKey) == 0 || o.Description == "" {
				t.Errorf("%s %s: %v", file, o.Name, o.Unsupported)
			}
			for _, column := range o.Columns {
				if column.Type == "" || column.Description == "" {
					t.Errorf("%s %s: no type or description", column.Pos, column.Name)
				}
			}
		}
	}
}

func TestOfficialExamplesParse(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus(t), "examples", "*.yaml"))
	if err != nil || len(files) < 18 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := contract.Parse(filepath.Base(file), data); err != nil {
			t.Errorf("%v", err)
		}
	}
}

// What the full example of the standard says, read by hand.
func TestFullExample(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(corpus(t), "examples", "full-example.odcs.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := contract.Parse("full.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	if c.ID != "53581432-6c55-4ba2-a65f-72344a91553a" || c.APIVersion != "v3.1.0" || c.Status != "active" || len(c.Objects) != 2 {
		t.Errorf("%+v", c)
	}
	o, ok := c.Object("receivers_master")
	if !ok {
		t.Fatal("no receivers_master")
	}
	noPos := cmpopts.IgnoreFields(contract.Column{}, "Pos", "Description")
	want := []contract.Column{
		{Name: "id", Type: "string", Required: true, PrimaryKey: true, Unique: true},
		{Name: "country_code", Type: "string", Required: true, PrimaryKey: true},
		{Name: "receiver_name", Type: "string", Required: true},
		{Name: "receiver_type", Type: "string"},
	}
	if diff := cmp.Diff(want, o.Columns, noPos); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"id", "country_code"}, o.PrimaryKey); diff != "" {
		t.Error(diff)
	}
	tbl, _ := c.Object("tbl_1")
	quality := []contract.Quality{
		{Metric: contract.NullValues, Columns: []string{"rcvr_cntry_code"}, Operator: contract.MustBe, Bounds: []string{"0"}},
		{Metric: contract.RowCount, Operator: contract.MustBeGreaterThan, Bounds: []string{"1000000"}},
	}
	if diff := cmp.Diff(quality, tbl.Quality, cmpopts.IgnoreFields(contract.Quality{}, "Pos")); diff != "" {
		t.Error(diff)
	}
	// two relationships and a partitioned column: promises that nobody would check
	if len(tbl.Unsupported) != 3 {
		t.Error(tbl.Unsupported)
	}
}

func TestNormalType(t *testing.T) {
	for in, want := range map[string]string{
		"BIGINT": "long", "int": "integer", "varchar(18)": "string", "Character  Varying(3)": "string", "decimal(12, 2)": "decimal(12,2)", "NUMERIC(5)": "decimal(5,0)",
		"decimal": "decimal(10,0)", "timestamp": "timestamp", "timestamp(6) with time zone": "timestamp", "timestamp without time zone": "timestamp_ntz", "timestamp_ntz": "timestamp_ntz",
		"double precision": "double", "float(24)": "float", "bool": "boolean", "date": "date", " text ": "string", "smallint": "short",
		"decimal(39,2)": "", "decimal(2,3)": "", "decimal(x)": "", "decimal(10,2": "", "money": "", "boolean(1)": "", "map<string,int>": "", "": "", "varchar(3) array": "",
	} {
		if got, ok := contract.NormalType(in); got != want || ok != (want != "") {
			t.Errorf("%q is %q, %v, want %q", in, got, ok, want)
		}
	}
}

func TestLogicalTypes(t *testing.T) {
	for in, want := range map[string]string{
		`"logicalType": "string"`: "string", `"logicalType": "integer"`: "integer", `"logicalType": "number"`: "double", `"logicalType": "timestamp"`: "timestamp",
		`"logicalType": "integer", "logicalTypeOptions": {"format": "i64"}`:     "long",
		`"logicalType": "integer", "logicalTypeOptions": {"format": "u64"}`:     "decimal(20,0)",
		`"logicalType": "integer", "logicalTypeOptions": {"format": "i128"}`:    "",
		`"logicalType": "number", "logicalTypeOptions": {"format": "f32"}`:      "float",
		`"logicalType": "timestamp", "logicalTypeOptions": {"timezone": false}`: "timestamp_ntz",
		`"logicalType": "integer", "physicalType": "bigint"`:                    "long",
		`"logicalType": "number", "physicalType": "decimal(18,4)"`:              "decimal(18,4)",
		`"logicalType": "time"`: "", `"logicalType": "object"`: "", `"description": "none"`: "",
	} {
		c, err := contract.Parse("c.json", []byte(one(`{"name": "a", `+in+`}`)))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := c.Objects[0].Columns[0].Type; got != want || (want == "") != (len(c.Objects[0].Unsupported) == 1) {
			t.Errorf("%s is %q, want %q; unsupported %v", in, got, want, c.Objects[0].Unsupported)
		}
	}
}

// one is a contract of one table with the given properties.
func one(properties string) string {
	return `{"apiVersion": "v3.1.0", "kind": "DataContract", "id": "x", "version": "1", "status": "active", "schema": [{"name": "t", "properties": [` + properties + `]}]}`
}

func TestPrimaryKeyByPosition(t *testing.T) {
	c, err := contract.Parse("c.json", []byte(one(`{"name": "a", "physicalType": "int", "primaryKey": true, "primaryKeyPosition": 2}, {"name": "b", "physicalName": "bb", "physicalType": "int", "primaryKey": true, "primaryKeyPosition": 1}`)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"bb", "a"}, c.Objects[0].PrimaryKey); diff != "" {
		t.Error(diff)
	}
}

func TestCheck(t *testing.T) {
	c, err := contract.Parse("c.json", []byte(one(`{"name": "a", "physicalType": "int"}, {"name": "b", "physicalType": "string"}, {"name": "c", "physicalType": "decimal(4,2)"}`)))
	if err != nil {
		t.Fatal(err)
	}
	o := c.Objects[0]
	if d := o.Check([]contract.Field{{"c", "decimal(4,2)"}, {"a", "integer"}, {"b", "string"}}); d != nil {
		t.Error(d)
	}
	var got []string
	for _, d := range o.Check([]contract.Field{{"a", "long"}, {"c", "decimal(4,2)"}, {"B", "string"}}) {
		got = append(got, d.String())
	}
	want := []string{"column a is long, not integer", "column b (string) is missing", "column B (string) is not in the contract"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Parse refuses what the standard's own schema refuses, at the place where it stands.
func TestInvalidContracts(t *testing.T) {
	good := one(`{"name": "a", "physicalType": "int", "quality": [{"metric": "nullValues", "mustBe": 0}]}`)
	s := schema(t)
	if err := validate(s, []byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string][2]string{
		"no id":                 {`"id": "x", `, ``},
		"kind":                  {`DataContract`, `Contract`},
		"apiVersion":            {`v3.1.0`, `v4.0.0`},
		"version is a number":   {`"version": "1"`, `"version": 1`},
		"unknown key":           {`"status"`, `"owner": "me", "status"`},
		"schema is an object":   {`[{"name": "t"`, `{"x": [{"name": "t"`},
		"no object name":        {`"name": "t", `, ``},
		"unknown object key":    {`"name": "t"`, `"name": "t", "columns": []`},
		"no property name":      {`"name": "a", `, ``},
		"unknown property key":  {`"physicalType"`, `"type"`},
		"logicalType":           {`"physicalType": "int"`, `"logicalType": "int"`},
		"required is text":      {`"physicalType"`, `"required": "yes", "physicalType"`},
		"unknown metric":        {`nullValues`, `nulls`},
		"no operator":           {`, "mustBe": 0`, ``},
		"two operators":         {`"mustBe": 0`, `"mustBe": 0, "mustNotBe": 1`},
		"bound is text":         {`"mustBe": 0`, `"mustBeLessThan": "0"`},
		"one bound of two":      {`"mustBe": 0`, `"mustBeBetween": [1]`},
		"unknown quality type":  {`"metric"`, `"type": "dbt", "metric"`},
		"unknown dimension":     {`"metric"`, `"dimension": "size", "metric"`},
		"unknown quality key":   {`"metric"`, `"column": "a", "metric"`},
		"quality is an object":  {`[{"metric": "nullValues", "mustBe": 0}]`, `{"metric": "nullValues", "mustBe": 0}`},
		"sql without query":     {`"metric": "nullValues"`, `"type": "sql"`},
		"custom without engine": {`"metric": "nullValues", "mustBe": 0`, `"type": "custom", "implementation": "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			bad := strings.Replace(good, edit[0], edit[1], 1)
			if name == "schema is an object" {
				bad = strings.TrimSuffix(bad, "]}") + "]}}"
			}
			if bad == good || !json.Valid([]byte(bad)) {
				t.Fatal("the case is wrong: ", bad)
			}
			if validate(s, []byte(bad)) == nil {
				t.Fatal("the standard's schema accepts it")
			}
			_, err := contract.Parse("c.json", []byte(bad))
			var ps document.Problems
			if !errors.As(err, &ps) || fault.KindOf(err) != fault.InvalidInput {
				t.Fatalf("accepted, or no problems: %v", err)
			}
			if p := ps[0]; p.File != "c.json" || p.Line != 1 || p.Column < 1 {
				t.Error(p)
			}
		})
	}
}
