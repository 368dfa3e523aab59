package tools_test

import (
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/lakestep/lakestep/"

// layer says what the packages at path may import of the tree. A path covers the packages below it, unless
// they have a line of their own. An entry of may covers what is below it when it ends in "/..."; "/*" stands
// for one folder below.
type layer struct {
	path string
	may  []string
	why  string
}

// layers is the table of ARCHITECTURE.md as data, from the bottom up. A new package needs a line.
func layers() []layer {
	base := []string{"shared/fault", "shared/step", "shared/event", "shared/store", "shared/secret", "shared/lineage", "shared/metrics"}
	tables := []string{"shared/delta", "shared/engine", "shared/dml", "shared/connector", "shared/contract", "shared/pipeline", "shared/document", "shared/catalog"}
	domain := []string{"shared/lake", "shared/ledger", "shared/quality", "shared/materialize", "shared/transform", "shared/maintenance", "shared/asl"}
	with := func(lists ...[]string) (all []string) {
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	return []layer{
		{"shared/fault", nil, "the vocabulary of errors stands on nothing"},
		{"shared/step", base[:1], "ports and contracts know faults, and not one another"},
		{"shared/event", base[:1], "ports and contracts know faults, and not one another"},
		{"shared/store", base[:1], "ports and contracts know faults, and not one another"},
		{"shared/secret", base[:1], "ports and contracts know faults, and not one another"},
		{"shared/lineage", base[:1], "ports and contracts know faults, and not one another"},
		{"shared/metrics", base[:1], "ports and contracts know faults, and not one another"},
		{"shared/document", base[:1], "a reader of files that people write"},
		{"shared/cases", nil, "a reader of test cases"},
		{"shared/awsapi", base[:1], "it knows what errors of AWS mean, and no port"},
		{"shared/awsapi/awsapitest", with(base[:1], []string{"shared/awsapi"}), "a service of AWS, for tests"},

		{"shared/store/", with(base[:1], []string{"shared/store", "shared/store/internal/..."}), "an adapter knows its port, not other adapters"},
		{"shared/secret/", with(base[:1], []string{"shared/secret", "shared/awsapi"}), "an adapter knows its port, not other adapters"},
		{"shared/catalog/", with(base[:1], []string{"shared/catalog", "shared/delta", "shared/awsapi"}), "an adapter knows its port, not other adapters"},
		{"shared/connector/", with(base, []string{"shared/connector", "shared/connector/internal/..."}), "an adapter knows its port, not other adapters"},

		{"shared/delta", base, "the table format knows storage, and no engine"},
		{"shared/asl", base, "the interpreter knows no lake"},
		{"shared/catalog", []string{"shared/delta"}, "an entry describes a Delta table"},
		{"shared/asl/asltest", nil, "recorded runs, for tests"},
		{"shared/connector", base, "a source knows neither tables nor engine"},
		{"shared/engine", with(base, []string{"shared/delta"}), "the engine reads and writes Delta files"},
		{"shared/dml", with(base, []string{"shared/delta", "shared/engine"}), "rows change where the log and the engine meet"},
		{"shared/maintenance", with(base, []string{"shared/delta", "shared/engine", "shared/dml"}), "any Delta table can be maintained, in a lake or not"},
		{"shared/contract", with(base, []string{"shared/document"}), "a contract is a document"},
		{"shared/pipeline", with(base, []string{"shared/contract", "shared/document", "shared/connector"}), "a declaration is checked without data"},
		{"shared/lake", with(base, tables, []string{"shared/maintenance"}), "what the steps share stands on tables and declarations"},
		{"shared/lake/laketest", with(base, tables, []string{"shared/lake"}), "a lake for tests"},
		{"shared/ledger", with(base, tables, []string{"shared/lake"}), "the record of runs is a table of the lake"},
		{"shared/quality", with(base, tables, domain), "domain logic knows no host and no adapter"},
		{"shared/materialize", with(base, tables, domain), "domain logic knows no host and no adapter"},
		{"shared/transform", with(base, tables, domain), "domain logic knows no host and no adapter"},

		{"shared/host/", with(base, []string{"shared/asl", "shared/host", "shared/awsapi"}), "a host carries steps without knowing them"},
		{"shared/host", base, "the port of the hosts"},
		{"statemachines", nil, "the definitions, for the binaries to carry"},
		{"tools/oracle", nil, "other people's programs, for tests"},
		{"tools/processtest", nil, "processes of their own, for tests"},
		{"tools/tfprovider", []string{"shared/asl"}, "a provider of Terraform for tests, which knows what a state machine is"},
		{"tools/terraformtest", []string{"tools/tfprovider"}, "Terraform, for tests"},
		{"tools/servicetest", nil, "other people's services, for tests"},
		{"tools/lambdatest", nil, "AWS Lambda, for tests"},
		{"tools/package", nil, "a tool of make"},
		{"sample", with(base[:1], []string{"shared/store"}), "data for a try-out"},

		{"functions", with(base, tables, domain, []string{"functions/*"}), "the list of steps"},
		{"functions/", with(base, tables, domain), "a step knows no other step, no host, no adapter, no cloud"},
		{"functions/cmd/", []string{"shared/...", "functions", "functions/*", "functions/cmd/internal/...", "sample", "statemachines"}, "the composition roots; nothing imports them"},
	}
}

// outside lists modules that only some packages may import, outside of tests.
func outside() []layer {
	return []layer{
		{"github.com/duckdb/", []string{"shared/engine"}, "the engine can be replaced"},
		{"github.com/parquet-go/", []string{"shared/delta", "shared/engine"}, "Parquet is the table's and the engine's business"},
		{"github.com/goccy/go-yaml", []string{"shared/document", "shared/pipeline"}, "one reader of YAML, which keeps positions"},
		{"github.com/aws/", []string{"shared/awsapi/...", "shared/store/...", "shared/catalog/...", "shared/secret/...", "shared/host/...", "functions/cmd/..."}, "a cloud's SDK is an adapter's"},
		{"github.com/Azure/", []string{"shared/store/...", "shared/secret/...", "shared/host/...", "functions/cmd/..."}, "a cloud's SDK is an adapter's"},
		{"github.com/apache/arrow-go/", []string{"shared/connector/..."}, "typed rows become files before the engine sees them"},
		{"github.com/jackc/", []string{"shared/connector/postgres"}, "a vendor's client is its connector's"},
		{"github.com/twmb/franz-go", []string{"shared/connector/kafka/..."}, "a vendor's client is its connector's"},
		{"github.com/snowflakedb/", []string{"shared/connector/snowflake"}, "a vendor's client is its connector's"},
		{"github.com/hashicorp/", []string{"tools/tfprovider", "tools/terraformtest"}, "Terraform is an operator's and the tests'"},
		{"github.com/spf13/", []string{"functions/cmd/..."}, "the command line is a main's"},
	}
}

// layerOf is the line that governs a package: the longest path that covers it. A path that ends in a slash
// covers what is below it, one without covers the package itself.
func layerOf(pkg string) (best layer, ok bool) {
	for _, l := range layers() {
		covers := pkg == l.path || (strings.HasSuffix(l.path, "/") && strings.HasPrefix(pkg, l.path))
		if covers && len(l.path) >= len(best.path) {
			best, ok = l, true
		}
	}
	return best, ok
}

// allows tells whether one of the entries covers pkg.
func allows(may []string, pkg string) bool {
	for _, m := range may {
		under, tree := strings.CutSuffix(m, "/...")
		parent, star := strings.CutSuffix(m, "/*")
		switch {
		case m == pkg, tree && (pkg == under || strings.HasPrefix(pkg, under+"/")):
			return true
		case star && strings.HasPrefix(pkg, parent+"/") && !strings.Contains(pkg[len(parent)+1:], "/"):
			return true
		}
	}
	return false
}

// inside tells whether a package imports one of its own family: "shared/delta/internal/x" from "shared/delta".
func inside(pkg, imported string) bool {
	return strings.HasPrefix(imported, pkg+"/internal/") || strings.HasPrefix(pkg, imported+"/internal/")
}

func TestLayers(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		l, known := layerOf(s.pkg())
		if !known {
			t.Errorf("%s: package %s has no line in the table of layers (tools/layers_test.go)", s.path, s.pkg())
			continue
		}
		for _, im := range s.file.Imports {
			imported, ours := strings.CutPrefix(unquote(t, im.Path.Value), module)
			if ours && !inside(s.pkg(), imported) && !allows(l.may, imported) {
				t.Errorf("%s: %s may not import %s: %s", s.at(im), s.pkg(), imported, l.why)
			}
		}
	}
}

func TestModulesStayInTheirPlace(t *testing.T) {
	for _, s := range sources(t) {
		for _, im := range s.file.Imports {
			for _, o := range outside() {
				if strings.HasPrefix(unquote(t, im.Path.Value), o.path) && !s.test && !allows(o.may, s.pkg()) {
					t.Errorf("%s: %s may not import %s: %s", s.at(im), s.pkg(), im.Path.Value, o.why)
				}
			}
		}
	}
}

func unquote(t *testing.T, s string) string {
	t.Helper()
	u, err := strconv.Unquote(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// The table itself: what it forbids, it forbids.
func TestLayerTable(t *testing.T) {
	for _, tt := range []struct {
		pkg, imported string
		want          bool
	}{
		{"shared/store", "shared/fault", true},
		{"shared/store", "shared/event", false},
		{"shared/store", "shared/store/file", false},
		{"shared/store/file", "shared/store", true},
		{"shared/store/file", "shared/store/mem", false},
		{"shared/delta", "shared/engine", false},
		{"shared/engine", "shared/delta", true},
		{"shared/delta", "shared/store/file", false},
		{"shared/catalog/glue", "shared/awsapi", true},
		{"shared/catalog", "shared/awsapi", false},
		{"functions/silver", "shared/awsapi", false},
		{"functions/silver", "shared/lake", true},
		{"functions/silver", "functions/gold", false},
		{"functions/silver", "shared/host/local", false},
		{"functions/silver", "shared/store/file", false},
		{"functions", "functions/silver", true},
		{"functions", "functions/cmd/lakestep", false},
		{"functions/cmd/lakestep", "shared/host/local", true},
		{"functions/cmd/lakestep", "functions/cmd/lambda", false},
	} {
		l, ok := layerOf(tt.pkg)
		if got := allows(l.may, tt.imported); !ok || got != tt.want {
			t.Errorf("%s imports %s: allowed %v, want %v (line %q)", tt.pkg, tt.imported, got, tt.want, l.path)
		}
	}
}
