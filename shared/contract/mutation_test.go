package contract_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/goccy/go-yaml"
	"pgregory.net/rapid"

	"github.com/lakestep/lakestep/shared/contract"
)

// unread are the keys whose inside tells nothing about data; Parse does not look into them.
var unread = []string{"servers", "team", "roles", "support", "price", "slaProperties", "authoritativeDefinitions", "customProperties", "tags", "relationships",
	"transformSourceObjects", "examples", "implementation", "items", "validValues", "missingValues", "id", "contractCreatedTs", "dataProduct", "slaDefaultElement", "default", "logicalTypeOptions", "arguments"}

// Whatever is changed in a contract: what the standard's schema refuses, Parse refuses too.
func TestParseIsAsStrictAsTheStandard(t *testing.T) {
	s := schema(t)
	files, _ := filepath.Glob(filepath.Join(corpus(t), "examples", "*.yaml"))
	ours, _ := filepath.Glob("../../config/*/contracts/*.json")
	var docs []string
	for _, file := range append(files, ours...) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(file) == ".yaml" {
			if data, err = yaml.YAMLToJSON(data); err != nil {
				t.Fatal(err)
			}
		}
		if len(data) < 20_000 {
			docs = append(docs, string(data))
		}
	}
	refused := 0
	rapid.Check(t, func(t *rapid.T) {
		var doc map[string]any
		if err := json.Unmarshal([]byte(rapid.SampledFrom(docs).Draw(t, "contract")), &doc); err != nil {
			t.Fatal(err)
		}
		mutate(t, doc)
		data, err := json.MarshalIndent(doc, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if invalid := validate(s, data); invalid != nil {
			refused++
			if _, err := contract.Parse("c.json", data); err == nil {
				t.Fatalf("accepted, but %v\n%s", invalid, data)
			}
		}
	})
	if refused < 20 {
		t.Errorf("only %d of the changed contracts were wrong", refused)
	}
}

// mutate goes down a random path and changes what it finds there.
func mutate(t *rapid.T, m map[string]any) {
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(m)), func(k string) bool { return slices.Contains(unread, k) })
	if len(keys) == 0 {
		return
	}
	key := rapid.SampledFrom(keys).Draw(t, "key")
	switch v := m[key].(type) {
	case map[string]any:
		if rapid.IntRange(0, 3).Draw(t, "deeper") > 0 {
			mutate(t, v)
			return
		}
	case []any:
		if len(v) > 0 && rapid.IntRange(0, 9).Draw(t, "deeper") > 0 {
			i := rapid.IntRange(0, len(v)-1).Draw(t, "item")
			if inner, ok := v[i].(map[string]any); ok {
				mutate(t, inner)
			} else {
				v[i] = other(t)
			}
			return
		}
	}
	switch rapid.IntRange(0, 3).Draw(t, "change") {
	case 0:
		delete(m, key)
	case 1:
		m[key+"x"] = m[key]
	case 2:
		m[key] = other(t)
	case 3:
		m[rapid.SampledFrom([]string{"mustBe", "mustBeLessThan", "mustBeBetween", "type", "metric", "required", "physicalName", "name", "quality", "properties", "severity", "unit", "businessName", "dimension"}).Draw(t, "new key")] = other(t)
	}
}

func other(t *rapid.T) any {
	return rapid.SampledFrom([]any{nil, true, 3, -1, 1.5, "text", "", "sql", "library", []any{}, []any{1, 2}, []any{"x"}, map[string]any{}, map[string]any{"name": "x"}}).Draw(t, "value")
}
