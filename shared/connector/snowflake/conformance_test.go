package snowflake

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/connectortest"
)

// The rows of the suite have a timestamp of which three have the same, also beyond what was appended at once.
func TestConformance(t *testing.T) {
	connectortest.Run(t, func(t *testing.T) connectortest.Rig {
		o := newOrigin(t)
		o.sql(t, "CREATE TABLE ORDERS (ID INTEGER, NAME VARCHAR, CHANGED_AT TIMESTAMP_NTZ)")
		a, vault := &appender{origin: o}, connectortest.NewVault(secrets)
		cfg := o.config(map[string]connector.Settings{"orders": options("table", "orders", "mode", "watermark", "cursor_column", "changed_at")})
		vault.Serve(&cfg)
		return connectortest.Rig{
			Open:   func(context.Context) (connector.Source, error) { return hasty(cfg) },
			Memory: 400 << 20, // fakesnow sends a page in one piece, within the answer; TestMemory has chunks as Snowflake makes them
			Stream: "orders", Limit: connector.Limit{Rows: 5}, Secrets: []string{secrets["env:SNOWFLAKE_PASSWORD"]},
			Append:       func(t testing.TB, n int) []string { return a.append(t, n, "", "") },
			Bulk:         a.bulk,
			SchemaChange: a.schemaChange,
			UnknownType:  a.unknownType,
			Slow:         func(testing.TB) func() { return o.shut(hangs) },
			Break:        func(testing.TB) func() { return o.shut(broken) },
			ExpireAuth:   func(testing.TB) func() { return o.shut(refuses) },
			Rotate: func(testing.TB) {
				vault.Put("env:SNOWFLAKE_PASSWORD", "another-secret")
				o.mu.Lock()
				defer o.mu.Unlock()
				o.password = "another-secret"
			},
		}
	})
}

// appender adds rows to the table ORDERS.
type appender struct {
	*origin
	rows int
}

// append adds rows, with a value in another column perhaps.
func (a *appender) append(t testing.TB, n int, column, value string) (ids []string) {
	t.Helper()
	var values []string
	if column != "" {
		column, value = ", "+column, ", "+value
	}
	for range n {
		at := fmt.Sprintf("2024-01-01 %02d:%02d:%02d.123456", a.rows/3/3600, a.rows/3/60%60, a.rows/3%60)
		a.rows++
		ids = append(ids, fmt.Sprint(a.rows))
		values = append(values, fmt.Sprintf("(%d, 'name of %d', '%s'%s)", a.rows, a.rows, at, value))
	}
	a.sql(t, "INSERT INTO ORDERS (ID, NAME, CHANGED_AT"+column+") SELECT * FROM VALUES "+strings.Join(values, ", "))
	return ids
}

func (a *appender) bulk(t testing.TB, n int) {
	t.Helper()
	a.sql(t, fmt.Sprintf("INSERT INTO ORDERS SELECT I, 'name of ' || I, DATEADD('second', FLOOR(I / 3), '2024-01-01'::TIMESTAMP_NTZ) FROM (SELECT ROW_NUMBER() OVER (ORDER BY SEQ4()) AS I FROM TABLE(GENERATOR(ROWCOUNT => %d)))", n))
}

func (a *appender) schemaChange(t testing.TB, n int) ([]string, string) {
	a.sql(t, "ALTER TABLE ORDERS ADD COLUMN EXTRA VARCHAR")
	return a.append(t, n, "EXTRA", "'x'"), "EXTRA"
}

func (a *appender) unknownType(t testing.TB, n int) (map[string]string, string) {
	a.sql(t, "ALTER TABLE ORDERS ADD COLUMN ODD VARIANT")
	texts := map[string]string{}
	for _, id := range a.append(t, n, "ODD", `PARSE_JSON('{"a":[1,{"b":null}]}')`) {
		texts[id] = `{"a":[1,{"b":null}]}`
	}
	return texts, "ODD"
}
