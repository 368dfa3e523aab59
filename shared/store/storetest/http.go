package storetest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// RunHTTP runs what an adapter that speaks HTTP must pass besides Run: each request of each operation is lost, in every way, and the operation
// succeeds all the same (some of the ways with LAKESTEP_LONG only). open gives a new, empty store whose requests go through transport.
func RunHTTP(t *testing.T, open func(t *testing.T, transport http.RoundTripper) store.Store) {
	large := strings.Repeat("0123456789abcdef", 9<<16) // 9 MiB: in parts
	for _, how := range []string{lost, dropped, busy} {
		for _, o := range []store.PutOptions{{}, {IfAbsent: true}} {
			for size, body := range map[string]string{"small": "content", "large": large} {
				if body == large && how != lost && os.Getenv("LAKESTEP_LONG") == "" {
					continue
				}
				t.Run(fmt.Sprintf("%s put %s if absent %v", how, size, o.IfAbsent), func(t *testing.T) { putBroken(t, open, how, body, o) })
			}
		}
	}
	for _, how := range []string{lost, dropped, busy, cut} {
		t.Run(how+" read", func(t *testing.T) { readBroken(t, open, how, large) })
	}
	t.Run("gives up", func(t *testing.T) { givesUp(t, open) })
}

// The ways in which a request is lost.
const (
	lost    = "lost"    // it is carried out, its answer lost
	dropped = "dropped" // it is never sent
	busy    = "busy"    // the service asks for less
	cut     = "cut"     // the connection breaks in the middle of the answer's body
)

// putBroken breaks each request of a Put in turn.
func putBroken(t *testing.T, open func(*testing.T, http.RoundTripper) store.Store, how, body string, o store.PutOptions) {
	tr := &transport{how: how}
	s := open(t, tr)
	for at := 1; ; at++ {
		key := fmt.Sprintf("k%d", at)
		tr.arm(at)
		if err := s.Put(t.Context(), key, strings.NewReader(body), o); err != nil {
			t.Fatalf("request %d %s: %v", at, how, err)
		}
		broke := tr.arm(0)
		if got := get(t, s, key, store.Range{}); got != body {
			t.Fatalf("request %d %s: %d bytes are there, not %d", at, how, len(got), len(body))
		}
		if o.IfAbsent { // of another's object nothing becomes ours, whatever is lost
			tr.arm(at)
			err := s.Put(t.Context(), key, strings.NewReader("other"), o)
			tr.arm(0)
			wantErr(t, fmt.Sprintf("request %d %s: Put again", at, how), err, store.ErrExists)
		}
		if !broke {
			if at == 1 {
				t.Error("no request was broken")
			}
			return
		}
	}
}

// readBroken breaks each request of reading, describing, listing and deleting an object in turn.
func readBroken(t *testing.T, open func(*testing.T, http.RoundTripper) store.Store, how, body string) {
	tr := &transport{how: how}
	s := open(t, tr)
	for at := 1; ; at++ {
		put(t, s, "d/k", body)
		tr.arm(at)
		got := get(t, s, "d/k", store.Range{})
		part := get(t, s, "d/k", store.Range{Offset: 5, Length: 1 << 20})
		if _, err := s.Stat(t.Context(), "d/k"); err != nil {
			t.Errorf("request %d %s: Stat: %v", at, how, err)
		}
		wantKeys(t, "List", list(t, s, "d/", ""), []string{"d/k"})
		if err := s.Delete(t.Context(), "d/k"); err != nil {
			t.Errorf("request %d %s: Delete: %v", at, how, err)
		}
		broke := tr.arm(0)
		if got != body || part != body[5:5+1<<20] {
			t.Errorf("request %d %s: read %d and %d bytes, or wrong ones", at, how, len(got), len(part))
		}
		wantKeys(t, "List", list(t, s, "", ""), nil)
		if !broke {
			return
		}
	}
}

// givesUp: a service that is gone is Unavailable, in bounded time, for reads and writes.
func givesUp(t *testing.T, open func(*testing.T, http.RoundTripper) store.Store) {
	tr := &transport{how: dropped, always: true}
	s := open(t, tr)
	tr.arm(1)
	_, err := s.Stat(t.Context(), "k")
	wantKind(t, "Stat", err, fault.Unavailable)
	err = s.Put(t.Context(), "k", strings.NewReader("x"), store.PutOptions{IfAbsent: true})
	wantKind(t, "Put", err, fault.Unavailable)
}

// transport breaks one request, or all from there on.
type transport struct {
	how    string
	always bool

	mu    sync.Mutex
	at, n int
	broke bool
}

// arm breaks the at-th request from now, 0 none, and tells whether one was broken since the last call.
func (tr *transport) arm(at int) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	broke := tr.broke
	tr.at, tr.n, tr.broke = at, 0, false
	return broke
}

func (tr *transport) breaks() bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.n++
	hit := tr.at > 0 && (tr.n == tr.at || tr.always && tr.n > tr.at)
	tr.broke = tr.broke || hit
	return hit
}

// RoundTrip implements http.RoundTripper.
func (tr *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	reset := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	if !tr.breaks() {
		return http.DefaultTransport.RoundTrip(req)
	}
	if tr.how == dropped || tr.how == busy {
		if req.Body != nil {
			req.Body.Close()
		}
		if tr.how == dropped {
			return nil, reset
		}
		return &http.Response{
			Status: "503 Slow Down", StatusCode: http.StatusServiceUnavailable, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{"X-Ms-Error-Code": {"ServerBusy"}}, Request: req, ContentLength: -1,
			Body: io.NopCloser(strings.NewReader("<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")),
		}, nil
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if tr.how == cut && req.Method == http.MethodGet && resp.ContentLength > 1000 {
		resp.Body = halved{io.LimitReader(resp.Body, resp.ContentLength/2), resp.Body}
		return resp, nil
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return nil, reset
}

// halved is a body that breaks off.
type halved struct {
	io.Reader
	io.Closer
}

func (h halved) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
