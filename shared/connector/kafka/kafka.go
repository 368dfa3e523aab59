// Package kafka reads topics of Apache Kafka: one stream is one topic. The position is the next offset of each partition, and is kept in the
// commit of the rows that lead to it; partitions are read at just those offsets, without a consumer group. What a group is told afterwards is
// for people and tools that watch its lag. A message that is no longer there, or not yet decided on by its transaction, is never skipped.
package kafka

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/kafka/internal/message"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/secret"
)

// source is a cluster with the topics that are read from it.
type source struct {
	cfg       connector.Config
	brokers   []string
	group     string
	latest    bool  // where a topic begins that was never read
	committed bool  // open and aborted transactions are not read
	user      *user // whom the brokers know
	registry  *message.Registry
	streams   map[string]stream

	mu     sync.Mutex
	client *kgo.Client // nil until somebody asks the cluster
	told   map[string]*position
}

// stream is a topic and how its messages are read.
type stream struct {
	name  string
	topic string
	value message.Format
	key   message.Format
	wait  time.Duration // for messages that must be there
	at    string
}

// defaults of settings that are no first choice in the pipeline's language.
const (
	defaultGroup = "etl-consumer-group"
	defaultWait  = 30 * time.Second
)

// New makes a source of a pipeline's declaration. It asks the network nothing.
func New(_ context.Context, cfg connector.Config) (connector.Source, error) {
	set := cfg.Settings
	s := &source{cfg: cfg, brokers: set.List("bootstrap_servers"), group: set.Text("group.id", defaultGroup), latest: set.Text("auto.offset.reset", "earliest") == "latest",
		committed: set.Text("isolation.level", "read_committed") == "read_committed", user: &user{cfg: cfg, name: "sasl.username", password: "sasl.password"}, streams: map[string]stream{}, told: map[string]*position{}}
	if len(s.brokers) == 0 {
		return nil, fault.New(fault.InvalidInput, "open source", cfg.Name, "no bootstrap_servers").WithHint("name the brokers: bootstrap_servers: [host:9092] (%s)", cfg.At)
	}
	for name, set := range cfg.Streams {
		s.streams[name] = stream{name: name, topic: set.Text("topic", name), value: message.Format(set.Text("value_format", "json")),
			key: message.Format(set.Text("key_format", "text")), wait: set.Duration("max_wait", defaultWait), at: set["topic"].At}
	}
	return s, s.openRegistry()
}

// openRegistry makes the client of the schema registry, if there is one; streams whose format needs one cannot do without.
func (s *source) openRegistry() error {
	set := s.cfg.Settings
	if urls := strings.FieldsFunc(set.Text("schema_registry_url", ""), func(r rune) bool { return r == ',' || r == ' ' }); len(urls) > 0 {
		tls, err := s.tls(true)
		if err != nil {
			return err
		}
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = tls
		o := message.RegistryOptions{URLs: urls, Client: &http.Client{Transport: transport, Timeout: registryTimeout}, Secret: s.declared("schema_registry_username", "schema_registry_password")}
		if set.Has("schema_registry_username") || set.Has("schema_registry_password") {
			user := &user{cfg: s.cfg, name: "schema_registry_username", password: "schema_registry_password"}
			o.User, o.Renewed = user.credentials, user.renewed
		}
		s.registry = message.NewRegistry(o)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.streams)) {
		if st := s.streams[name]; st.value.NeedsRegistry() || st.key.NeedsRegistry() {
			return fault.New(fault.InvalidInput, "open source", s.cfg.Name, "stream %s has a format that needs a schema registry", name).
				WithHint("set schema_registry_url (%s), or value_format json, text or binary", s.cfg.At)
		}
	}
	return nil
}

// registryTimeout bounds one request to the schema registry.
const registryTimeout = 15 * time.Second

// declared says where credentials come from: their keys, references and places, never their values.
func (s *source) declared(keys ...string) string {
	var out []string
	for _, key := range keys {
		set, ok := s.cfg.Settings[key]
		if !ok {
			continue
		}
		text := key
		if scheme, _, _ := strings.Cut(set.Text, ":"); slices.Contains([]string{secret.Env, secret.SecretsManager, secret.KeyVault}, scheme) {
			text += " from " + set.Text // what is no reference is not repeated: somebody may have put a password there
		}
		if set.At != "" {
			text += " (" + set.At + ")"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func (s *source) stream(name string) (stream, error) {
	st, ok := s.streams[name]
	if !ok {
		return st, fault.New(fault.Internal, "read", s.cfg.Name+"."+name, "there is no such stream")
	}
	return st, nil
}

// Close frees the connections.
func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
	if s.registry != nil {
		s.registry.Close()
	}
	return nil
}
