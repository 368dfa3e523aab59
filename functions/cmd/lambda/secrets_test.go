package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/tools/servicetest"
)

// TestSecrets loads from a database whose password is in Secrets Manager, and rotates it between two runs: functions that are up already read the new
// one when the old is refused. Neither is found in anything that was written.
func TestSecrets(t *testing.T) {
	p := servicetest.Postgres(t)
	db := p.Database(t)
	canaries := []string{"c4n4ry-before", "c4n4ry-after"}
	p.SQL(t, db, "CREATE TABLE orders (id bigint PRIMARY KEY); INSERT INTO orders SELECT generate_series(1, 10); CREATE ROLE rotated LOGIN PASSWORD '"+canaries[0]+"'; GRANT SELECT ON orders TO rotated")
	t.Cleanup(func() { p.SQL(t, db, "DROP OWNED BY rotated; DROP ROLE rotated") })
	dir := t.TempDir()
	yaml := `name: rotated
lake: lake
vars: { landing: none }
sources:
  shop:
    connector: postgres
    url: aws-secretsmanager:shop/database#url
    streams:
      orders: { table: public.orders, mode: watermark, cursor_column: id }
bronze:
  raw_orders: { stream: shop.orders }
`
	if err := os.WriteFile(filepath.Join(dir, "pipeline.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newCloud(t, dir)
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	vault := secretsmanager.NewFromConfig(cfg)
	document := func(password string) *string {
		return aws.String(fmt.Sprintf(`{"url":%q}`, p.URLOf("rotated", password, db)))
	}
	if _, err := vault.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("shop/database"), SecretString: document(canaries[0])}); err != nil {
		t.Fatal(err)
	}
	payloads := c.runByHand("first")
	p.SQL(t, db, "INSERT INTO orders SELECT generate_series(11, 30); ALTER ROLE rotated PASSWORD '"+canaries[1]+"'")
	if _, err := vault.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("shop/database"), SecretString: document(canaries[1])}); err != nil {
		t.Fatal(err)
	}
	payloads += c.runByHand("second")
	for name, f := range c.functions {
		if n := len(f.ColdStarts()); n > 1 {
			t.Errorf("%s was started %d times: what is tested is a process that had the old password", name, n)
		}
	}
	if n := c.count("bronze.raw_orders"); n != 30 {
		t.Errorf("%d rows, want 30", n)
	}
	c.noSecrets(payloads, 5, append(canaries, c.s3.SecretKey)...)
}

// runByHand starts an execution that must succeed, and gives all payloads between its states.
func (c *cloud) runByHand(name string) string {
	c.t.Helper()
	if ok, err := c.machine.Start(c.t.Context(), name, []byte(`{}`)); err != nil || !ok {
		c.t.Fatal(ok, err)
	}
	execution := c.machine.Execution(name)
	if r := c.wait(execution); r.Status != "SUCCEEDED" {
		c.t.Fatalf("%+v\n%s", r, c.logs())
	}
	return c.history(execution)
}

// count is how many rows a table of the lake has.
func (c *cloud) count(name string) int64 {
	c.t.Helper()
	l, err := compose.OpenLake(c.t.Context(), c.lake(), "test")
	if err != nil {
		c.t.Fatal(err)
	}
	table, err := l.Open(c.t.Context(), name)
	if err != nil {
		c.t.Fatal(err)
	}
	var n int64
	for _, f := range table.Snap.Files() {
		stats, ok := delta.ParseStats(f.Stats)
		if !ok {
			c.t.Fatalf("%s has no statistics", f.Path)
		}
		n += stats.NumRecords
	}
	return n
}

// rounds tells how often a state was entered.
func rounds(states []string, name string) (n int) {
	for _, s := range states {
		if strings.EqualFold(s, name) {
			n++
		}
	}
	return n
}
