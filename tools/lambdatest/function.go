// Package lambdatest plays AWS Lambda for tests: it runs a program as a function, by the Runtime API, and answers the Invoke API. What it does is
// written from AWS's pages on the two; nothing of AWS's is in it.
//
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
package lambdatest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Options say what a function is.
type Options struct {
	Program  string   // the bootstrap
	Args     []string // none in Lambda: of a test's own program
	Handler  string   // _HANDLER
	Env      []string // NAME=value, beside what Lambda sets; nothing is inherited but PATH
	Timeout  time.Duration
	MemoryMB int
}

// Answer is what became of a call.
type Answer struct {
	Payload []byte // the result, or {"errorType", "errorMessage", ...}
	Failed  bool   // the function answered with an error, or none
}

// ErrorType is the name of an error: what the state machine matches.
func (a Answer) ErrorType() string { return a.error().Type }

// ErrorMessage is its text.
func (a Answer) ErrorMessage() string { return a.error().Message }

type functionError struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

func (a Answer) error() (e functionError) {
	if a.Failed {
		_ = json.Unmarshal(a.Payload, &e)
	}
	return e
}

// Function is a program as Lambda runs it: as many processes as there are calls at once, each of which is kept for later calls.
type Function struct {
	Options
	t      testing.TB
	dir    string // its /tmp
	mu     sync.Mutex
	idle   []*sandbox
	all    []*sandbox
	number int // of processes so far
	log    bytes.Buffer
	cold   []time.Duration
}

// New makes a function. It is gone with the test.
func New(t testing.TB, o Options) *Function {
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	if o.MemoryMB == 0 {
		o.MemoryMB = 2048
	}
	f := &Function{Options: o, t: t, dir: t.TempDir()}
	t.Cleanup(f.stop)
	return f
}

func (f *Function) stop() {
	f.mu.Lock()
	all := f.all
	f.all, f.idle = nil, nil
	f.mu.Unlock()
	for _, s := range all { // without the lock: what they still write goes to the log
		s.kill()
	}
}

// Log is what the processes wrote so far.
func (f *Function) Log() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.String()
}

// Write takes what a process writes.
func (f *Function) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Write(p)
}

// ColdStarts are how long processes took from their start to asking for the first call.
func (f *Function) ColdStarts() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Duration(nil), f.cold...)
}

// Forget ends the idle processes, so that the next call is a cold start.
func (f *Function) Forget() {
	f.mu.Lock()
	idle := f.idle
	f.idle = nil
	f.mu.Unlock()
	for _, s := range idle {
		s.kill()
	}
}

// Invoke calls the function, and waits for its answer.
func (f *Function) Invoke(ctx context.Context, payload []byte) (Answer, error) {
	s, err := f.take()
	if err != nil {
		return Answer{}, err
	}
	a, alive := s.call(ctx, payload)
	if alive {
		f.mu.Lock()
		f.idle = append(f.idle, s)
		f.mu.Unlock()
	} else {
		s.kill()
	}
	return a, ctx.Err()
}

func (f *Function) take() (*sandbox, error) {
	f.mu.Lock()
	if n := len(f.idle); n > 0 {
		s := f.idle[n-1]
		f.idle = f.idle[:n-1]
		f.mu.Unlock()
		return s, nil
	}
	f.number++
	number := f.number
	f.mu.Unlock()
	s, err := f.start(number)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, s)
	return s, nil
}

// sandbox is one process and the Runtime API that it sees.
type sandbox struct {
	f      *Function
	server *http.Server
	cmd    *exec.Cmd
	begun  time.Time
	first  sync.Once
	exited chan struct{}
	next   chan call
	done   chan Answer // of the call that runs
	id     string
}

type call struct {
	id       string
	payload  []byte
	deadline time.Time
}

func (f *Function) start(number int) (*sandbox, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sandbox{f: f, exited: make(chan struct{}), next: make(chan call), done: make(chan Answer, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", s.serveNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", s.serveAnswer(false))
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", s.serveAnswer(true))
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", s.serveAnswer(true))
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go s.server.Serve(l) //nolint:errcheck // it ends with kill
	temp := fmt.Sprintf("%s/%d", f.dir, number)
	if err := os.MkdirAll(temp, 0o755); err != nil {
		return nil, err
	}
	s.cmd = exec.Command(f.Program, f.Args...)
	s.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "TMPDIR=" + temp, "AWS_LAMBDA_RUNTIME_API=" + l.Addr().String(), "_HANDLER=" + f.Handler, "AWS_REGION=us-east-1",
		"AWS_LAMBDA_FUNCTION_NAME=" + f.Handler, "AWS_LAMBDA_FUNCTION_VERSION=1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=" + strconv.Itoa(f.MemoryMB),
		"AWS_EC2_METADATA_DISABLED=true",
	}, f.Env...)
	s.cmd.Stdout, s.cmd.Stderr = f, f
	s.begun = time.Now()
	if err := s.cmd.Start(); err != nil {
		s.server.Close()
		return nil, err
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	return s, nil
}

func (s *sandbox) kill() {
	_ = s.cmd.Process.Kill()
	<-s.exited
	s.server.Close()
}

// call hands a payload to the process, and tells whether the process lives on.
func (s *sandbox) call(ctx context.Context, payload []byte) (Answer, bool) {
	var b [16]byte
	_, _ = rand.Read(b[:])
	c := call{id: hex.EncodeToString(b[:]), payload: payload}
	select { // starting takes none of the call's time
	case <-ctx.Done():
		return Answer{}, false
	case <-s.exited:
		return s.ended(), false
	case a := <-s.done: // it could not come up
		return a, false
	case s.next <- c:
	}
	limit := time.NewTimer(s.f.Timeout)
	defer limit.Stop()
	select {
	case a := <-s.done:
		return a, true
	case <-s.exited:
		return s.ended(), false
	case <-ctx.Done():
		return Answer{}, false
	case <-limit.C:
		return failure("Sandbox.Timedout", fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", c.id, s.f.Timeout.Seconds())), false
	}
}

func (s *sandbox) ended() Answer {
	return failure("Runtime.ExitError", fmt.Sprintf("RequestId: %s Error: Runtime exited with error: %v", s.id, s.cmd.ProcessState))
}

func failure(kind, message string) Answer {
	raw, _ := json.Marshal(functionError{kind, message})
	return Answer{raw, true}
}

func (s *sandbox) serveNext(w http.ResponseWriter, r *http.Request) {
	s.first.Do(func() {
		s.f.mu.Lock()
		defer s.f.mu.Unlock()
		s.f.cold = append(s.f.cold, time.Since(s.begun))
	})
	select {
	case <-r.Context().Done():
	case c := <-s.next:
		s.id = c.id
		h := w.Header()
		h.Set("Lambda-Runtime-Aws-Request-Id", c.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(s.f.Timeout).UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:"+s.f.Handler)
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-"+c.id[:24]+";Parent=9a9197af755a6419;Sampled=1")
		h.Set("Content-Type", "application/json")
		_, _ = w.Write(c.payload)
	}
}

func (s *sandbox) serveAnswer(failed bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		s.done <- Answer{body, failed}
	}
}
