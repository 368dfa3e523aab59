package postgres

import (
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/connectortest"
	"github.com/lakestep/lakestep/shared/fault"
)

// A password that changes is read anew once the old one was refused: the next try gets in.
func TestRotatedPassword(t *testing.T) {
	o := newSuiteOrigin(t)
	host, port, _ := strings.Cut(o.way.listener.Addr().String(), ":")
	for name, keys := range map[string]settings{
		"url":  {"url": "env:URL"},
		"keys": {"host": host, "port": port, "database": o.name, "username": "env:USER", "password": "env:PASSWORD", "sslmode": "disable"},
	} {
		for _, mode := range []string{"watermark", "cdc"} {
			t.Run(name+", "+mode, func(t *testing.T) {
				s := o.newTable(t)
				s.append(t, 3)
				vault := connectortest.NewVault(map[string]string{"env:URL": o.url, "env:USER": o.user, "env:PASSWORD": "first-secret"})
				cfg := connector.Config{Pipeline: "p", Name: "pg", At: "pipeline.yaml:1:1", Settings: keys.of(), Streams: map[string]connector.Settings{"s": s.stream(mode).of()}}
				vault.Serve(&cfg)
				next := func() error {
					src, err := New(t.Context(), cfg)
					must(t, err)
					defer src.Close()
					_, err = src.Next(t.Context(), connector.Request{Stream: "s", Dir: t.TempDir()})
					return err
				}
				must(t, next())
				o.sql("ALTER ROLE " + o.user + " PASSWORD 'second-secret'")
				t.Cleanup(func() { o.sql("ALTER ROLE " + o.user + " PASSWORD 'first-secret'") })
				if err := next(); fault.KindOf(err) != fault.InvalidInput {
					t.Errorf("when nobody has put another where it is kept: %v", err)
				}
				vault.Put("env:URL", strings.Replace(o.url, "first-secret", "second-secret", 1))
				vault.Put("env:PASSWORD", "second-secret")
				if err := next(); fault.KindOf(err) != fault.Unavailable || fault.HintOf(err) == "" {
					t.Errorf("with what was kept: %v", err)
				}
				must(t, next())
			})
		}
	}
}
