package tfprovider

import (
	"os"
	"testing"
)

// corpus is the schema of the genuine provider.
func corpus(t *testing.T) *Schema {
	t.Helper()
	const path = "../../../shared/corpus/terraform-aws/schema.json"
	if _, err := os.Stat(path); err != nil {
		t.Skip("SKIPPED: no schema of the AWS provider at ../shared/corpus/terraform-aws")
	}
	s, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
