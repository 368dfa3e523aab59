package lambdatest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Service answers the Invoke API for functions, and hands everything else on to another service, which plays the rest of AWS. So a state machine that
// runs there calls real programs.
type Service struct {
	URL string

	upstream  url.URL
	mu        sync.Mutex
	functions map[string]*Function
	deployed  *deployed
	Called    []string // names of functions, in the order of calls
}

// Serve starts a service. Upstream says in front of which other one.
func Serve(t testing.TB) *Service {
	t.Helper()
	s := &Service{functions: map[string]*Function{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{function}/invocations", s.invoke)
	mux.Handle("/", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { // the host stays: it is signed, and names buckets
		r.Out.URL.Scheme, r.Out.URL.Host = s.upstream.Scheme, s.upstream.Host
	}})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Upstream names the service that is behind this one, before anybody calls.
func (s *Service) Upstream(address string) {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	s.upstream = *u
}

// Port is where it listens.
func (s *Service) Port() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		panic(err)
	}
	return u.Port()
}

// Add makes a function known under a name.
func (s *Service) Add(name string, f *Function) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.functions[name] = f
}

func (s *Service) invoke(w http.ResponseWriter, r *http.Request) {
	name := nameOf(r.PathValue("function"))
	s.mu.Lock()
	f, d := s.functions[name], s.deployed
	s.Called = append(s.Called, name)
	s.mu.Unlock()
	if f == nil && d != nil {
		var err error
		if f, err = d.find(r.Context(), r.PathValue("function")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	if f == nil {
		w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
		http.Error(w, `{"Type":"User","Message":"Function not found: `+name+`"}`, http.StatusNotFound)
		return
	}
	payload, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a, err := f.Invoke(r.Context(), payload)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if a.Failed {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
	}
	w.Header().Set("X-Amz-Executed-Version", "1")
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(a.Payload)
}

// nameOf takes the name out of a name, an ARN, or either with the alias behind it.
func nameOf(function string) string {
	if rest, ok := strings.CutPrefix(function, "arn:"); ok {
		if parts := strings.Split(rest, ":"); len(parts) > 5 {
			return parts[5]
		}
	}
	name, _, _ := strings.Cut(function, ":")
	return name
}
