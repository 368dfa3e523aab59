package servicetest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/tools/servicetest"
)

// call sends a request to a registry, and gives the status and the decoded answer.
func call(t *testing.T, method, url string, body any) (status int, answer map[string]any) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%s %s: %s: %s", method, url, resp.Status, text)
	}
	return resp.StatusCode, answer
}

type reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

type schema struct {
	Schema     string      `json:"schema"`
	Type       string      `json:"schemaType,omitempty"`
	References []reference `json:"references,omitempty"`
}

// register gives the id of a schema.
func register(t *testing.T, url, subject string, s schema) int {
	t.Helper()
	status, answer := call(t, http.MethodPost, url+"/subjects/"+subject+"/versions", s)
	if status != http.StatusOK {
		t.Fatalf("register %s: %d %v", subject, status, answer)
	}
	return int(answer["id"].(float64))
}

const (
	avroA = `{"type":"record","name":"A","namespace":"n","fields":[{"name":"x","type":"int"}]}`
	avroB = `{"type":"record","name":"B","namespace":"n","fields":[{"name":"a","type":"n.A"}]}`
)

func TestRegistry(t *testing.T) {
	url := servicetest.Registry(t).URL
	for subject, s := range map[string]schema{
		"avro":     {Schema: avroA},
		"json":     {Schema: `{"type":"object","properties":{"x":{"type":"integer"}}}`, Type: "JSON"},
		"protobuf": {Schema: `syntax = "proto3"; package n; message A { int32 x = 1; }`, Type: "PROTOBUF"},
	} {
		id := register(t, url, subject, s)
		_, byID := call(t, http.MethodGet, fmt.Sprintf("%s/schemas/ids/%d", url, id), nil)
		if kind, _ := byID["schemaType"].(string); byID["schema"] != s.Schema || (kind != s.Type && kind != "AVRO") {
			t.Errorf("%s by id: %v", subject, byID)
		}
		_, latest := call(t, http.MethodGet, url+"/subjects/"+subject+"/versions/latest", nil)
		if latest["id"] != float64(id) || latest["version"] != 1.0 || latest["subject"] != subject || latest["schema"] != s.Schema {
			t.Errorf("%s, the latest: %v", subject, latest)
		}
	}
}

func TestRegistryReferences(t *testing.T) {
	url := servicetest.Registry(t).URL
	for kind, s := range map[string][2]string{
		"AVRO":     {avroA, avroB},
		"PROTOBUF": {`syntax = "proto3"; package n; message A { int32 x = 1; }`, `syntax = "proto3"; package n; import "a.proto"; message B { n.A a = 1; }`},
	} {
		name := map[string]string{"AVRO": "n.A", "PROTOBUF": "a.proto"}[kind]
		register(t, url, kind+"-a", schema{Schema: s[0], Type: kind})
		id := register(t, url, kind+"-b", schema{Schema: s[1], Type: kind, References: []reference{{name, kind + "-a", 1}}})
		_, byID := call(t, http.MethodGet, fmt.Sprintf("%s/schemas/ids/%d", url, id), nil)
		if got := fmt.Sprint(byID["references"]); !strings.Contains(got, "subject:"+kind+"-a version:1") {
			t.Errorf("references %s", got)
		}
	}
}

// The errors are those of Confluent's documentation.
func TestRegistryErrors(t *testing.T) {
	url := servicetest.Registry(t).URL
	for path, want := range map[string]float64{"/schemas/ids/4711": 40403, "/subjects/nobody/versions/latest": 40401} {
		if status, answer := call(t, http.MethodGet, url+path, nil); status != http.StatusNotFound || answer["error_code"] != want {
			t.Errorf("%s: %d %v", path, status, answer)
		}
	}
	register(t, url, "strict", schema{Schema: avroA})
	if status, answer := call(t, http.MethodPut, url+"/config/strict", map[string]string{"compatibility": "BACKWARD"}); status != http.StatusOK {
		t.Fatal(status, answer)
	}
	other := strings.Replace(avroA, `"int"`, `"string"`, 1)
	if status, answer := call(t, http.MethodPost, url+"/subjects/strict/versions", schema{Schema: other}); status != http.StatusConflict {
		t.Errorf("an incompatible schema: %d %v", status, answer)
	}
}

func TestRegistryGuarded(t *testing.T) {
	guarded := servicetest.Registry(t).Guarded(t, "someone", "secret")
	if status, answer := call(t, http.MethodGet, guarded+"/subjects", nil); status != http.StatusUnauthorized || answer["error_code"] != 401.0 {
		t.Errorf("without a password: %d %v", status, answer)
	}
	register(t, strings.Replace(guarded, "http://", "http://someone:secret@", 1), "guarded", schema{Schema: avroA})
}

func TestRegistryStopsAndStarts(t *testing.T) {
	t.Parallel()
	r := servicetest.OwnRegistry(t)
	id := register(t, r.URL, "kept", schema{Schema: avroA})
	r.Stop(t)
	if resp, err := http.Get(r.URL + "/subjects"); err == nil {
		resp.Body.Close()
		t.Error("a stopped registry answers")
	}
	r.Start(t)
	if _, byID := call(t, http.MethodGet, fmt.Sprintf("%s/schemas/ids/%d", r.URL, id), nil); byID["schema"] != avroA {
		t.Errorf("after the restart: %v", byID)
	}
}
