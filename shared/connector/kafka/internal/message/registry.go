package message

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
)

// Registry gives the schemas of a schema registry by their ids, which stand for one schema for ever: what was asked for once is kept.
// It is safe for concurrent use.
type Registry struct {
	o RegistryOptions

	mu      sync.Mutex
	schemas map[int32]*Schema
	codecs  map[codecKey]any
}

// RegistryOptions say where a registry is.
type RegistryOptions struct {
	URLs    []string                                                 // of one registry; the next is asked when one is not there
	Client  *http.Client                                             // with a timeout
	User    func(context.Context) (name, password string, err error) // nil: nobody in particular
	Renewed func(context.Context) bool                               // when they were refused: whether there are others by now; nil: never
	Secret  string                                                   // where the user and the password are declared, for hints
	Sleep   func(ctx context.Context, d time.Duration) (woken error) // nil: by the clock
}

// Schema is a schema as the registry has it.
type Schema struct {
	ID         int32       `json:"id"`
	Type       string      `json:"schemaType"` // AVRO (or nothing), JSON, PROTOBUF
	Text       string      `json:"schema"`
	References []reference `json:"references"`
}

type reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// named is the text of a schema that others refer to by name.
type named struct{ name, text string }

// NewRegistry makes a client. It asks nothing yet.
func NewRegistry(o RegistryOptions) *Registry {
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	return &Registry{o: o, schemas: map[int32]*Schema{}, codecs: map[codecKey]any{}}
}

// Close frees the connections.
func (r *Registry) Close() { r.o.Client.CloseIdleConnections() }

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// errUnknown says that the registry, which answered, has no such thing.
var errUnknown = errors.New("the registry does not have it")

// byID gives a schema. A plain error says that there is none of the id; a fault that the registry did not say.
func (r *Registry) byID(ctx context.Context, id int32) (*Schema, error) {
	r.mu.Lock()
	s := r.schemas[id]
	r.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s = &Schema{}
	err := r.get(ctx, "/schemas/ids/"+strconv.Itoa(int(id)), s)
	if errors.Is(err, errUnknown) {
		return nil, fmt.Errorf("schema %d: %w", id, errUnknown)
	}
	if err != nil {
		return nil, err
	}
	s.ID = id
	r.mu.Lock()
	r.schemas[id] = s
	r.mu.Unlock()
	return s, nil
}

// Latest gives the newest schema of a subject; nil when there is none.
func (r *Registry) Latest(ctx context.Context, subject string) (*Schema, error) {
	var s Schema
	err := r.get(ctx, "/subjects/"+url.PathEscape(subject)+"/versions/latest", &s)
	if errors.Is(err, errUnknown) {
		return nil, nil
	}
	return &s, err
}

// Subjects lists the names under which schemas are kept.
func (r *Registry) Subjects(ctx context.Context) (names []string, err error) {
	err = r.get(ctx, "/subjects", &names)
	return names, err
}

// Reach asks the registry anything, to see whether it answers.
func (r *Registry) Reach(ctx context.Context) error {
	var types []string
	if err := r.get(ctx, "/schemas/types", &types); err != nil && !errors.Is(err, errUnknown) {
		return err
	}
	return nil
}

// maxReferences bounds the schemas that one refers to, directly or not.
const maxReferences = 500

// referenced gives the schemas that one refers to, directly or not, each behind those that it refers to itself.
func (r *Registry) referenced(ctx context.Context, s *Schema) (all []named, err error) {
	seen := map[string]bool{}
	var visit func(s *Schema) error
	visit = func(s *Schema) error {
		for _, ref := range s.References {
			if seen[ref.Name] {
				continue
			}
			seen[ref.Name] = true
			if len(seen) > maxReferences {
				return fmt.Errorf("it refers to more than %d schemas", maxReferences)
			}
			var next Schema
			err := r.get(ctx, fmt.Sprintf("/subjects/%s/versions/%d?deleted=true", url.PathEscape(ref.Subject), ref.Version), &next)
			if errors.Is(err, errUnknown) {
				return fmt.Errorf("its reference %s (subject %s, version %d): %w", ref.Name, ref.Subject, ref.Version, errUnknown)
			}
			if err == nil {
				err = visit(&next)
			}
			if err != nil {
				return err
			}
			all = append(all, named{ref.Name, next.Text})
		}
		return nil
	}
	return all, visit(s)
}

// How often a request is made, and for how long its answers are waited for.
const (
	tries       = 5
	firstWait   = 200 * time.Millisecond
	longestWait = 30 * time.Second // also of those that the registry asks for
	maxAnswer   = 16 << 20
)

// get asks the registry, and again while it is not there or has too much to do.
func (r *Registry) get(ctx context.Context, path string, into any) error {
	for try := 0; ; try++ {
		wait, err := r.try(ctx, r.o.URLs[try%len(r.o.URLs)], path, into)
		if err == nil || !fault.KindOf(err).Retryable() || errors.Is(err, errUnknown) {
			return err
		}
		if wait == 0 {
			wait = firstWait << try
			wait = wait/2 + rand.N(wait)
		}
		if try == tries-1 || wait > longestWait || r.o.Sleep(ctx, wait) != nil {
			return err
		}
	}
}

func (r *Registry) try(ctx context.Context, base, path string, into any) (wait time.Duration, err error) {
	where := "schema_registry_url" // what is no URL is not shown: nobody knows where in it a password is
	if u, err := url.Parse(base); err == nil {
		where = u.Redacted()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(base, "/")+path, nil)
	if err != nil {
		return 0, fault.New(fault.InvalidInput, "ask the schema registry", where, "the address is not a URL")
	}
	req.Header.Set("Accept", "application/vnd.schemaregistry.v1+json, application/json")
	if r.o.User != nil {
		name, password, err := r.o.User(ctx)
		if err != nil {
			return 0, err
		}
		req.SetBasicAuth(name, password)
	}
	answer, err := r.o.Client.Do(req)
	if err != nil {
		return 0, fault.New(fault.Unavailable, "ask the schema registry", where, "%w", withoutURL(err)).WithHint("is it running, and schema_registry_url right?")
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return 0, fault.New(fault.Unavailable, "ask the schema registry", where, "%w", err)
	}
	if answer.StatusCode == http.StatusOK {
		if err := json.Unmarshal(body, into); err != nil {
			return 0, fault.New(fault.InvalidInput, "ask the schema registry", where+path, "the answer is not that of a schema registry").WithHint("check schema_registry_url")
		}
		return 0, nil
	}
	return retryAfter(answer.Header.Get("Retry-After")), r.refusal(ctx, answer.StatusCode, body, where, path)
}

// withoutURL drops what http.Client puts around an error: the URL, which may hold a password.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// refusal turns an answer that is not OK into an error.
func (r *Registry) refusal(ctx context.Context, status int, body []byte, where, path string) error {
	var said struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(body, &said) // not all who answer are registries
	what := func(kind fault.Kind) *fault.Fault {
		return fault.New(kind, "ask the schema registry", where+path, "status %d: %s", status, cut(said.Message, 300))
	}
	switch {
	case status == http.StatusNotFound && said.Code >= 40400 && said.Code < 40500:
		return errUnknown
	case status == http.StatusNotFound:
		return what(fault.InvalidInput).WithHint("this is no schema registry: check schema_registry_url")
	case (status == http.StatusUnauthorized || status == http.StatusForbidden) && r.o.Renewed != nil && r.o.Renewed(ctx):
		return what(fault.Unavailable).WithHint("the user or the password were renewed meanwhile; the step is repeated with the new ones")
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return what(fault.InvalidInput).WithHint("check the user and the password: %s", r.o.Secret)
	case status == http.StatusTooManyRequests:
		return what(fault.Throttled).WithHint("the registry asks for fewer requests; try later")
	case status >= 500:
		return what(fault.Unavailable).WithHint("see the registry's own log")
	}
	return what(fault.InvalidInput)
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(header string) time.Duration {
	if n, err := strconv.Atoi(header); err == nil && n >= 0 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

func cut(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "..."
	}
	return s
}
