// Package processtest runs work of a test in a process of its own, which is the test program started once more: only
// so is it known what memory the work takes.
package processtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A process of 512 MB, as the smallest function has that moves data. Of them 60 % are the engine's, which takes up to a
// quarter more; Go collects its garbage before it has a fifth. The rest is code and what the system keeps.
const (
	SmallBytes    = 512 << 20
	SmallEngineMB = 512 * 60 / 100
	SmallGo       = "GOMEMLIMIT=100MiB" // its environment
)

// Job is work to be done: argument and answer are JSON.
type Job func(ctx context.Context, argument json.RawMessage) (answer any, err error)

// The environment variables by which Run tells the process what it is.
const (
	nameVariable     = "LAKESTEP_TEST_PROCESS"
	argumentVariable = "LAKESTEP_TEST_PROCESS_ARGUMENT"
)

// Used is what a process took.
type Used struct {
	Peak int64         // the most memory that it ever held, in bytes
	Took time.Duration // by the job
}

type report struct {
	Used
	Answer any
}

// Main is for TestMain: it runs the tests or, in a process that Run started, the job asked for. It does not return.
func Main(m *testing.M, jobs map[string]Job) {
	name := os.Getenv(nameVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	if err := do(jobs[name]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func do(job Job) error {
	if job == nil {
		return errors.New("there is no such job")
	}
	start := time.Now()
	answer, err := job(context.Background(), json.RawMessage(os.Getenv(argumentVariable)))
	if err != nil {
		return err
	}
	took := time.Since(start)
	peak, err := peakMemory()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(report{Used{peak, took}, answer})
}

// peakMemory is the high-water mark of this process's resident memory in bytes, from Linux.
func peakMemory() (int64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kib), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("no VmHWM in /proc/self/status")
}

// Run does a job in a process of its own, with more environment than the test's, and decodes its answer.
func Run(t testing.TB, name string, argument, answer any, env ...string) Used {
	t.Helper()
	raw, err := json.Marshal(argument)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), env...), nameVariable+"="+name, argumentVariable+"="+string(raw))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	r := report{Answer: answer}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return r.Used
}
