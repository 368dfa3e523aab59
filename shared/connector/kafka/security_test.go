package kafka

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/tools/servicetest"
)

// secured is a source of a broker's port with its user.
func secured(t testing.TB, l *lab, topic, protocol, mechanism, address string, more ...string) connector.Config {
	t.Helper()
	b := servicetest.Kafka(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, []byte(b.CA), 0o600))
	cfg := l.config(topic, "json")
	maps.Copy(cfg.Settings, set("bootstrap_servers="+address, "ssl.ca.location="+ca))
	delete(cfg.Settings, "security.protocol")
	if protocol != "SASL_SSL" {
		maps.Copy(cfg.Settings, set("security.protocol="+protocol))
	}
	if strings.HasPrefix(protocol, "SASL_") {
		maps.Copy(cfg.Settings, set("sasl.mechanism="+mechanism, "sasl.username=env:KAFKA_USER", "sasl.password=env:KAFKA_PASSWORD"))
	}
	maps.Copy(cfg.Settings, set(more...))
	cfg.Secret = func(_ context.Context, ref string) (string, error) {
		v, ok := map[string]string{"env:KAFKA_USER": b.User, "env:KAFKA_PASSWORD": b.Password, "env:WRONG": "wrong-secret"}[ref]
		if !ok {
			return "", fault.New(fault.InvalidInput, "get secret", ref, "it is not set").WithHint("set it")
		}
		return v, nil
	}
	return cfg
}

func TestSecurity(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	b := servicetest.Kafka(t)
	topic := l.topic(1)
	l.send(numbers(topic, 1, 0, 5)...)
	for _, c := range []struct{ protocol, mechanism, address string }{
		{"PLAINTEXT", "", b.Plaintext}, {"SSL", "", b.TLS},
		{"SASL_PLAINTEXT", "PLAIN", b.SASLPlaintext}, {"SASL_PLAINTEXT", "SCRAM-SHA-256", b.SASLPlaintext}, {"SASL_PLAINTEXT", "SCRAM-SHA-512", b.SASLPlaintext},
		{"SASL_SSL", "PLAIN", b.SASLTLS}, {"SASL_SSL", "SCRAM-SHA-256", b.SASLTLS}, {"SASL_SSL", "SCRAM-SHA-512", b.SASLTLS},
	} {
		load := newLoader(t, secured(t, l, topic, c.protocol, c.mechanism, c.address))
		load.all()
		load.holds(0, 5)
	}
}

func TestRefusedSecurity(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	b := servicetest.Kafka(t)
	topic := l.topic(1)
	self := filepath.Join(t.TempDir(), "not.pem")
	must(t, os.WriteFile(self, []byte("no certificate"), 0o600))
	for _, c := range []struct {
		name  string
		cfg   connector.Config
		kind  fault.Kind
		words []string
	}{
		{"password of PLAIN", secured(t, l, topic, "SASL_SSL", "PLAIN", b.SASLTLS, "sasl.password=env:WRONG"), fault.InvalidInput, []string{"sasl.password from env:WRONG (pipeline.yaml:1:1)"}},
		{"password of SCRAM", secured(t, l, topic, "SASL_SSL", "SCRAM-SHA-512", b.SASLTLS, "sasl.password=env:WRONG"), fault.InvalidInput, []string{"sasl.password from env:WRONG (pipeline.yaml:1:1)"}},
		{"user", secured(t, l, topic, "SASL_SSL", "SCRAM-SHA-256", b.SASLTLS, "sasl.username=nobody"), fault.InvalidInput, []string{"sasl.username (pipeline.yaml:1:1)"}},
		{"no secret", secured(t, l, topic, "SASL_SSL", "PLAIN", b.SASLTLS, "sasl.password=env:MISSING"), fault.InvalidInput, []string{"env:MISSING"}},
		{"certificate", secured(t, l, topic, "SASL_SSL", "PLAIN", b.SASLTLS, "ssl.ca.location="+foreignCA(t)), fault.InvalidInput, []string{"ssl.ca.location"}},
		{"no certificate", secured(t, l, topic, "SASL_SSL", "PLAIN", b.SASLTLS, "ssl.ca.location="+self), fault.InvalidInput, []string{"no certificate in PEM"}},
		{"no file", secured(t, l, topic, "SASL_SSL", "PLAIN", b.SASLTLS, "ssl.ca.location="+self+"x"), fault.InvalidInput, []string{"no such file"}},
		{"TLS to a port without", secured(t, l, topic, "SASL_SSL", "PLAIN", b.SASLPlaintext), fault.Unavailable, []string{"security.protocol"}},
		{"no TLS to a port with", secured(t, l, topic, "SASL_PLAINTEXT", "PLAIN", b.SASLTLS), fault.InvalidInput, []string{"security.protocol"}},
		{"no user", secured(t, l, topic, "PLAINTEXT", "", b.SASLPlaintext), fault.Unavailable, []string{"security.protocol"}},
		{"nobody there", secured(t, l, topic, "SASL_SSL", "PLAIN", nobody(t)), fault.Unavailable, []string{"bootstrap_servers"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			load := newLoader(t, c.cfg)
			f := load.fails(c.kind, c.words...)
			if all := f.Error() + f.Hint; strings.Contains(all, "wrong-secret") || strings.Contains(all, b.Password) {
				t.Errorf("the fault shows a password: %s", all)
			}
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("it took %s to say so", took)
			}
			src := load.open()
			defer src.Close()
			findings := src.Check(t.Context())
			if len(findings) != 1 || findings[0].OK || findings[0].Hint == "" {
				t.Errorf("check: %+v", findings)
			}
		})
	}
}

// nobody is an address on which nobody listens.
func nobody(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// foreignCA is a certificate of somebody else.
func foreignCA(t testing.TB) string {
	path := filepath.Join(t.TempDir(), "foreign.pem")
	must(t, os.WriteFile(path, []byte(someCertificate), 0o600))
	return path
}

// What docs/sources-kafka.md grants is enough, and each part of it is needed.
func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	b := servicetest.OwnKafka(t, "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS")
	l := labAt(t, b.Plaintext)
	topic := l.topic(2)
	l.send(numbers(topic, 2, 0, 10)...)
	cfg := secured(t, l, topic, "SASL_PLAINTEXT", "SCRAM-SHA-512", b.SASLPlaintext, "sasl.username="+b.User, "sasl.password="+b.Password)
	load := newLoader(t, cfg)
	load.fails(fault.InvalidInput, "docs/sources-kafka.md")
	check := func(want string) {
		t.Helper()
		src := load.open()
		defer src.Close()
		var got []string
		for _, f := range src.Check(t.Context()) {
			if !f.OK && f.Hint == "" {
				t.Errorf("no hint: %+v", f)
			}
			got = append(got, map[bool]string{true: "ok ", false: "NOT "}[f.OK]+strings.Fields(f.What)[0])
		}
		equal(t, "check", strings.Join(got, ", "), want)
	}
	grant := func(acl *kadm.ACLBuilder) {
		t.Helper()
		results, err := l.admin.CreateACLs(t.Context(), acl.Allow("User:"+b.User).AllowHosts())
		must(t, err)
		for _, r := range results {
			must(t, r.Err)
		}
	}
	check("ok reach, NOT describe, NOT commit")
	grant(kadm.NewACLs().Topics(topic).Operations(kadm.OpDescribe).ResourcePatternType(kadm.ACLPatternLiteral))
	check("ok reach, ok describe, NOT read, NOT commit")
	load.fails(fault.InvalidInput, "docs/sources-kafka.md")
	grant(kadm.NewACLs().Topics(topic).Operations(kadm.OpRead).ResourcePatternType(kadm.ACLPatternLiteral))
	load.all()
	load.holds(0, 10)
	check("ok reach, ok describe, ok read, NOT commit")
	src := load.open()
	defer src.Close()
	if err := src.Acknowledge(t.Context(), "s", load.seen); fault.KindOf(err) != fault.Unavailable || fault.HintOf(err) == "" {
		t.Errorf("a group that may not be committed to: %v", err)
	}
	grant(kadm.NewACLs().Groups("group-of-" + topic).Operations(kadm.OpRead).ResourcePatternType(kadm.ACLPatternLiteral))
	check("ok reach, ok describe, ok read, ok commit")
	must(t, src.Acknowledge(t.Context(), "s", load.seen))
	found, err := src.Discover(t.Context())
	must(t, err)
	if len(found) != 1 || found[0].Name != topic || found[0].Rows != 10 || found[0].Stream != "s" {
		t.Errorf("discover: %+v", found)
	}
}

// A source asks for nothing when it is made, and says what is missing.
func TestNew(t *testing.T) {
	for _, c := range []struct {
		cfg   connector.Config
		words string
	}{
		{connector.Config{Name: "in", At: "p.yaml:1:1"}, "no bootstrap_servers"},
		{connector.Config{Name: "in", At: "p.yaml:1:1", Settings: set("bootstrap_servers=h:1"), Streams: map[string]connector.Settings{"s": set("topic=t", "value_format=avro")}}, "needs a schema registry"},
		{connector.Config{Name: "in", At: "p.yaml:1:1", Settings: set("bootstrap_servers=h:1"), Streams: map[string]connector.Settings{"s": set("topic=t", "value_format=text", "key_format=protobuf")}}, "needs a schema registry"},
	} {
		_, err := New(t.Context(), c.cfg)
		if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), c.words) || fault.HintOf(err) == "" {
			t.Errorf("%v, want %s", err, c.words)
		}
	}
	src, err := New(t.Context(), connector.Config{Name: "in", Settings: set("bootstrap_servers=" + nobody(t)), Streams: map[string]connector.Settings{"s": set("topic=t", "value_format=json")}})
	must(t, err)
	must(t, src.Close())
	if _, err := src.Next(t.Context(), connector.Request{Stream: "other"}); err == nil {
		t.Error("a stream that is not there")
	}
	var f *fault.Fault
	if _, err := src.Next(t.Context(), connector.Request{Stream: "s", Window: &connector.Window{}}); !errors.As(err, &f) || f.Kind != fault.InvalidInput || f.Hint == "" {
		t.Errorf("a window: %v", err)
	}
}

// someCertificate is of nobody that we talk to.
const someCertificate = `-----BEGIN CERTIFICATE-----
MIIBhzCCAS2gAwIBAgIUUBE4chybsqYewRjXswwtDm1ZSV4wCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNc29tZWJvZHkgZWxzZTAgFw0yNjExMjgwMzM4MTlaGA8yMTI2
MTEwNDAzMzgxOVowGDEWMBQGA1UEAwwNc29tZWJvZHkgZWxzZTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABECwVqskgRUFkNRcfoHZAepQPPquDwlLC4iiA4g9miP2
eZcDPra0wfIsernwjdSbaN1IaaExOo/Ll2wVncMcSymjUzBRMB0GA1UdDgQWBBTP
KhkfKc4X/PVpBpgMUJV0wcQfvDAfBgNVHSMEGDAWgBTPKhkfKc4X/PVpBpgMUJV0
wcQfvDAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIEGWq9DayihK
XU7rh9U42Il9KEyN2RWQ7uP3mvA+Gj46AiEAxDazGsdZIV2RnMkg7U6SrnUlOrlc
EEdE99SL3QcoCYI=
-----END CERTIFICATE-----
`

func saslTLS(t testing.TB) string { return servicetest.Kafka(t).SASLTLS }
