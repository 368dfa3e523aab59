// Package oracle asks other people's programs about Delta tables: delta-rs and Spark, each in one long-lived process that
// reads and changes tables on request. It is for tests: what lakestep writes is proved against them, and what they write
// against lakestep. The commands are the functions of deltars.py and spark.py, values have the form of canonical.py.
package oracle

import (
	"bufio"
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

//go:embed *.py
var scripts embed.FS

// Process is one running oracle. It answers one caller at a time.
type Process struct {
	Name string // "delta-rs" or "Spark", for messages

	mu     sync.Mutex
	in     io.WriteCloser
	out    *bufio.Reader
	stderr *tail
	cmd    *exec.Cmd
}

// DeltaRS starts delta-rs with the Python interpreter that LAKESTEP_TEST_PYTHON names; without one the test is skipped.
func DeltaRS(t testing.TB, python string) *Process {
	t.Helper()
	if python == "" {
		t.Skip("SKIPPED: LAKESTEP_TEST_PYTHON names no Python with deltalake")
	}
	return start(t, "delta-rs", python, "deltars.py")
}

// Spark starts Spark from the folder that LAKESTEP_TEST_SPARK names, which `make test/long` installs; without one the test is
// skipped.
func Spark(t testing.TB, folder string) *Process {
	t.Helper()
	if folder == "" {
		t.Skip("SKIPPED: LAKESTEP_TEST_SPARK names no folder with Spark (make test/long)")
	}
	return start(t, "Spark", filepath.Join(folder, "venv/bin/python"), "spark.py", filepath.Join(folder, "jars"))
}

func start(t testing.TB, name, python, script string, args ...string) *Process {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, scripts); err != nil {
		t.Fatal(err)
	}
	p := &Process{Name: name, stderr: &tail{}, cmd: exec.Command(python, append([]string{filepath.Join(dir, script)}, args...)...)}
	p.cmd.Stderr, p.cmd.Dir = p.stderr, dir
	p.cmd.WaitDelay = 10 * time.Second // Spark's JVM holds the pipe for a while
	var out io.ReadCloser
	var err error
	if p.in, err = p.cmd.StdinPipe(); err == nil {
		out, err = p.cmd.StdoutPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.in.Close()
		_ = p.cmd.Wait() // delta-rs's threads sometimes abort the exit: all answers were given by then
	})
	p.out = bufio.NewReaderSize(out, 1<<20)
	if err := p.answer(nil); err != nil {
		t.Fatalf("%s does not start: %v\n%s", name, err, p.stderr)
	}
	return p
}

// Refusal is an oracle's own error, as a text that starts with its kind.
type Refusal struct{ Oracle, Text string }

func (r *Refusal) Error() string { return r.Oracle + ": " + r.Text }

// Call runs a command. Its answer goes to out, which may be nil. What the engine refuses is a *Refusal.
func (p *Process) Call(cmd string, args map[string]any, out any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	request := map[string]any{"cmd": cmd}
	for k, v := range args {
		request[k] = v
	}
	line, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("%s is gone: %w\n%s", p.Name, err, p.stderr)
	}
	return p.answer(out)
}

func (p *Process) answer(out any) error {
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s is gone: %w\n%s", p.Name, err, p.stderr)
	}
	var answer struct {
		OK    json.RawMessage
		Error string
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return fmt.Errorf("%s answers %q: %w", p.Name, line, err)
	}
	switch {
	case answer.Error != "":
		return &Refusal{p.Name, answer.Error}
	case out == nil:
		return nil
	}
	return json.Unmarshal(answer.OK, out)
}

// tail keeps the end of what a process says.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (b *tail) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	if n := len(b.text) - 8000; n > 0 {
		b.text = b.text[n:]
	}
	return len(p), nil
}

func (b *tail) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(bytes.TrimSpace(b.text))
}
