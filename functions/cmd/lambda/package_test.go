package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/store/storetest"
)

// TestPackage runs the package that make package/aws made in AWS's own emulator of the runtime, with nothing of this machine but the kernel: an empty
// root folder, where the test may have one. It pins the pipeline that is in the package, and says how long a cold start takes.
func TestPackage(t *testing.T) {
	file, rie := os.Getenv("LAKESTEP_TEST_PACKAGE"), os.Getenv("LAKESTEP_TEST_RIE")
	if file == "" || rie == "" {
		t.Skip("SKIPPED: no package, or no emulator: LAKESTEP_TEST_PACKAGE, LAKESTEP_TEST_RIE are not set (make test/aws sets them)")
	}
	root := t.TempDir()
	unzip(t, file, filepath.Join(root, "var/task"))
	s3 := storetest.Versitygw(t)
	bucket := s3.Bucket(t)
	env := []string{
		"PATH=/", "LAMBDA_TASK_ROOT=/var/task", "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=" + s3.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s3.SecretKey,
		"AWS_ENDPOINT_URL_S3=" + s3.Endpoint, "LAKESTEP_LAKE=s3://" + bucket + "/lake", `LAKESTEP_VARS={"landing":"s3://` + bucket + `/landing"}`, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=1024", "AWS_LAMBDA_FUNCTION_TIMEOUT=60",
	}
	pin := `{"execution":"x","started":"2026-01-01T00:00:00Z","request":{}}`
	e := emulate(t, rie, root, env, "pin")
	var out struct{ Run, Bundle string }
	if answer := e.call(pin); json.Unmarshal(answer, &out) != nil || out.Run == "" || len(out.Bundle) != 64 {
		t.Errorf("pin: %s\n%s", answer, e.log.String())
	}
	if answer := e.call(`{"execution":"x","started":"2026-01-01T00:00:00Z","request":{"what":1}}`); !strings.Contains(string(answer), `"errorType":"InvalidInput"`) {
		t.Errorf("pin of no request: %s", answer)
	}
	e.stop()
	v := emulate(t, rie, root, env, "validate") // with the SQL engine
	if answer := v.call(fmt.Sprintf(`{"run":%q,"bundle":%q,"trigger":{"kind":"manual","source":"cli"}}`, out.Run, out.Bundle)); !strings.Contains(string(answer), `"nothing":true`) {
		t.Errorf("validate: %s\n%s", answer, v.log.String())
	}
	v.stop()
	for name, log := range map[string]string{"pin": e.log.String(), "validate": v.log.String()} {
		t.Logf("cold start of %s: %s ms in AWS's emulator", name, regexp.MustCompile(`INIT REPORT\(durationMs: ([0-9.]+)`).FindStringSubmatch(log)[1:])
	}
}

func unzip(t *testing.T, file, folder string) {
	t.Helper()
	r, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.CopyFS(folder, r); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(folder, "bootstrap"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// emulator is a function in AWS's emulator.
type emulator struct {
	t   *testing.T
	url string
	cmd *exec.Cmd
	log bytes.Buffer
}

func emulate(t *testing.T, rie, root string, env []string, handler string) *emulator {
	t.Helper()
	e := &emulator{t: t}
	ports := [2]string{}
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = l.Addr().String()
		l.Close()
	}
	task := filepath.Join(root, "var/task")
	e.cmd = exec.Command(rie, "--runtime-interface-emulator-address", ports[0], "--runtime-api-address", ports[1], filepath.Join(task, "bootstrap"), handler)
	if os.Geteuid() == 0 {
		inside := filepath.Join(root, "rie")
		raw, err := os.ReadFile(rie)
		if err == nil {
			err = os.WriteFile(inside, raw, 0o755)
		}
		for _, folder := range []string{"tmp", "dev"} {
			if err == nil {
				err = os.MkdirAll(filepath.Join(root, folder), 0o777)
			}
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(root, "dev/null"), nil, 0o666) // the emulator's input
		}
		if err != nil {
			t.Fatal(err)
		}
		e.cmd = exec.Command("/rie", "--runtime-interface-emulator-address", ports[0], "--runtime-api-address", ports[1], "/var/task/bootstrap", handler)
		chroot(e.cmd, root)
	} else {
		env = append(env, "LAMBDA_TASK_ROOT="+task, "TMPDIR="+t.TempDir())
	}
	e.cmd.Env, e.cmd.Stdout, e.cmd.Stderr = env, &e.log, &e.log
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.stop)
	e.url = "http://" + ports[0] + "/2015-03-31/functions/function/invocations"
	for range 100 {
		c, err := net.Dial("tcp", ports[0])
		if err == nil {
			c.Close()
			return e
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the emulator does not listen")
	return nil
}

func (e *emulator) stop() {
	_ = e.cmd.Process.Kill()
	_ = e.cmd.Wait()
}

// call invokes the function; the emulator wants a pause between two calls.
func (e *emulator) call(payload string) []byte {
	e.t.Helper()
	time.Sleep(100 * time.Millisecond)
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Post(e.url, "application/json", strings.NewReader(payload)) //nolint:noctx // it has a time limit
	if err != nil {
		e.t.Fatalf("%v\n%s", err, e.log.String())
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return raw
}
