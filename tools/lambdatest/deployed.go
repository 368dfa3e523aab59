package lambdatest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Deployed has the service run the functions that somebody made in the upstream service's Lambda API: by the handler, environment, time limit and memory
// that they were given there. code gives the folder of an unpacked package by its digest (CodeSha256); env is more environment, for all.
func (s *Service) Deployed(t testing.TB, code func(sha256 string) (folder string, err error), env ...string) {
	d := &deployed{t: t, service: s, code: code, env: env, known: map[string]*Function{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deployed = d
}

type deployed struct {
	t       testing.TB
	service *Service
	code    func(string) (string, error)
	env     []string
	known   map[string]*Function // by ARN with version, and digest
}

// configuration is what of GetFunctionConfiguration's answer says how to run a function.
// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html
type configuration struct {
	FunctionArn, FunctionName, Handler, Version, CodeSha256, LastModified string
	Timeout, MemorySize                                                   int
	Environment                                                           struct{ Variables map[string]string }
}

// find gives the function that a name, an ARN, or either with a version or alias stands for.
func (d *deployed) find(ctx context.Context, function string) (*Function, error) {
	name, qualifier := nameOf(function), ""
	if parts := strings.Split(function, ":"); strings.HasPrefix(function, "arn:") && len(parts) > 7 {
		qualifier = parts[7]
	}
	c, err := d.ask(ctx, name, qualifier)
	if err != nil {
		return nil, err
	}
	key := strings.Join([]string{name, c.Version, c.CodeSha256, c.LastModified}, " ")
	d.service.mu.Lock()
	defer d.service.mu.Unlock()
	if f := d.known[key]; f != nil {
		return f, nil
	}
	folder, err := d.code(c.CodeSha256)
	if err != nil {
		return nil, err
	}
	env := append([]string{"LAMBDA_TASK_ROOT=" + folder}, d.env...)
	for k, v := range c.Environment.Variables {
		env = append(env, k+"="+v)
	}
	f := New(d.t, Options{Program: filepath.Join(folder, "bootstrap"), Handler: c.Handler, Env: env, Timeout: time.Duration(c.Timeout) * time.Second, MemoryMB: c.MemorySize})
	d.known[key] = f
	return f, nil
}

func (d *deployed) ask(ctx context.Context, name, qualifier string) (c configuration, err error) {
	u := d.service.upstream.JoinPath("2015-03-31", "functions", name, "configuration")
	if qualifier != "" {
		u.RawQuery = url.Values{"Qualifier": {qualifier}}.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return c, err
	}
	// The upstream service tells regions apart by what a request is signed for; it checks no signature.
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=tester/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return c, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return c, err
	}
	if resp.StatusCode != http.StatusOK {
		return c, fmt.Errorf("%s: %s: %s", name, resp.Status, raw)
	}
	return c, json.Unmarshal(raw, &c)
}

// Logs is what all functions wrote so far.
func (s *Service) Logs() string {
	s.mu.Lock()
	all := make([]*Function, 0, len(s.functions))
	for _, f := range s.functions {
		all = append(all, f)
	}
	if s.deployed != nil {
		for _, f := range s.deployed.known {
			all = append(all, f)
		}
	}
	s.mu.Unlock()
	var b strings.Builder
	for _, f := range all {
		b.WriteString(f.Log())
	}
	return b.String()
}

// Environ is the environment of a program that is to take the service for AWS.
func (s *Service) Environ() []string {
	return append(os.Environ(), "AWS_ENDPOINT_URL="+s.URL, "AWS_ACCESS_KEY_ID=tester", "AWS_SECRET_ACCESS_KEY=tester-secret", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true")
}
