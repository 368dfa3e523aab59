package snowflake

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Timeouts of single requests. A query's answer that takes longer is asked for again: the driver knows how.
const (
	connectTimeout = 30 * time.Second
	headerTimeout  = 2 * time.Minute // until an answer begins; the server lets go of a waiting client after 45 seconds
	totalTimeout   = 5 * time.Minute // until it has come, a chunk too
	briefTimeout   = 2 * time.Second // of requests whose outcome does not matter
)

// transport makes connections. Certificates are verified as Go does. Whether they were revoked is not asked for: the driver's own look does
// not help against somebody who stands between, since it takes silence for a yes, and costs time where the way to the responders is shut.
func transport() *http.Transport {
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: connectTimeout}
	return &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSHandshakeTimeout: connectTimeout,
		ResponseHeaderTimeout: headerTimeout, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute}
}

// note is what the newest answer under a context said, which the driver keeps to itself.
type note struct {
	mu    sync.Mutex
	code  int           // of HTTP; 0 when none came
	asked time.Duration // how long the other side wants to be left alone; 0 when it did not say
}

type noteKey struct{}

func withNote(ctx context.Context, n *note) context.Context {
	return context.WithValue(ctx, noteKey{}, n)
}

func noteOf(ctx context.Context) *note {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		return n
	}
	return &note{}
}

// set keeps an answer.
func (n *note) set(code int, asked time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.code, n.asked = code, asked
}

// status is the newest answer's.
func (n *note) status() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.code
}

// wire is between driver and network: it takes notes, waits as long as a server that has too much to do asks for, and does not let requests
// take long whose outcome does not matter.
type wire struct {
	base  http.RoundTripper
	after time.Duration // the longest wait for a server that asks for one
}

// RoundTrip sends a request.
func (w wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if path := req.URL.Path; path == "/session" || strings.HasSuffix(path, "/abort-request") {
		return w.brief(req), nil
	}
	if id, ok := req.Context().Value(resultKey{}).(string); ok && req.URL.Path == queryPath {
		req = resultOf(req, id)
	}
	n := noteOf(req.Context())
	res, err := w.base.RoundTrip(req)
	if err != nil {
		n.set(0, 0)
		return nil, err
	}
	asked := time.Duration(0)
	if res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500 {
		asked = retryAfter(res.Header.Get("Retry-After"), time.Now())
	}
	n.set(res.StatusCode, asked)
	if err := wait(req.Context(), min(asked, w.after)); err != nil {
		res.Body.Close()
		return nil, err
	}
	return res, nil
}

const queryPath = "/queries/v1/query-request"

type resultKey struct{}

// withResult makes a statement under this context not run: its answer is the result that an earlier query had.
func withResult(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, resultKey{}, id)
}

// resultOf asks for the result of a query where the driver asks for one to be run. The answer has the same form. The driver's own way to it
// leads to batches that are held whole, and of which nobody knows how many rows they must have.
func resultOf(req *http.Request, id string) *http.Request {
	out := req.Clone(req.Context())
	out.Method, out.Body, out.GetBody, out.ContentLength = http.MethodGet, nil, nil, 0
	out.URL.Path = "/queries/" + url.PathEscape(id) + "/result"
	out.Header.Del("Content-Type")
	return out
}

// brief sends a request that ends a query or a session: both end on their own, too. The driver repeats it for minutes if it is not told that
// all is well.
func (w wire) brief(req *http.Request) *http.Response {
	ctx, cancel := context.WithTimeout(req.Context(), briefTimeout)
	defer cancel()
	body := []byte(`{"success":true}`)
	if res, err := w.base.RoundTrip(req.WithContext(ctx)); err == nil {
		b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		if res.Body.Close(); err == nil && res.StatusCode == http.StatusOK {
			body = b
		}
	}
	return &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: req,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}
}

// retryAfter reads the header of that name: seconds, or a time.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// wait waits, or gives the context's error.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
