package main

import (
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/storetest"
)

func testS3(t *testing.T, s *shop) {
	v := storetest.Versitygw(t)
	t.Setenv("AWS_ACCESS_KEY_ID", v.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", v.SecretKey)
	at := "s3://" + v.Bucket(t) + "/lakes/shop"
	s.runsOn(at+"?endpoint="+v.Endpoint, at, map[string]string{"endpoint_url": v.Endpoint, "allow_http": "true", "region": "us-east-1"})
}

func testAzure(t *testing.T, s *shop) {
	a := storetest.Azurite(t)
	t.Setenv("AZURE_STORAGE_CONNECTION_STRING", a.ConnectionString())
	name := a.Bucket(t)
	c, err := container.NewClientFromConnectionString(a.ConnectionString(), name, nil)
	if err == nil {
		_, err = c.Create(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.runsOn("az://"+a.AccessKey+"/"+name+"/lakes/shop", "az://"+name+"/lakes/shop", map[string]string{
		"account_name": a.AccessKey, "account_key": a.SecretKey, "endpoint": a.Endpoint, "allow_http": "true",
	})
}

// runsOn: a lake in object storage, of what lands there, becomes the same as one in a folder, also by runs that are killed, and delta-rs, which
// knows it as at and with options, reads it there.
func (s *shop) runsOn(lake, at string, options map[string]string) {
	s.t.Helper()
	s.t.Setenv("XDG_CACHE_HOME", s.t.TempDir())
	random := rand.New(rand.NewPCG(3, 0))
	here, there := s.landing, strings.Replace(lake, "/lakes/shop", "/landing", 1)
	for batch := range 2 {
		if s.landing = here; batch > 0 {
			s.land(batch + 1)
		}
		began := time.Now()
		s.must(s.args("calm")...)
		s.upload(here, there)
		s.landing = there
		s.t.Logf("batch %d: %d kills", batch+1, s.runKilled(lake, random, 3*time.Since(began)))
		s.same("calm", lake)
	}
	if r := s.must(s.args(lake)...); !strings.Contains(r.stdout, "Nothing is new") {
		s.t.Errorf("a run afterwards: %s", r.stdout)
	}
	rows, versions := s.content(lake)
	// It leaves without cleaning up: now and then a thread of Arrow's aborts the process then.
	const script = `import os, sys, json, deltalake
t = deltalake.DeltaTable(sys.argv[1], storage_options=json.loads(sys.argv[2]))
print(json.dumps([t.version(), t.to_pyarrow_table().num_rows]), flush=True)
os._exit(0)`
	for _, name := range []string{"silver.orders", "gold.order_facts"} {
		raw, err := json.Marshal(options)
		if err != nil {
			s.t.Fatal(err)
		}
		got := answer[[2]int64](s.t, python(s.t), "-c", script, at+"/"+strings.ReplaceAll(name, ".", "/"), string(raw))
		if want := [2]int64{versions[name], int64(len(rows[name]))}; got != want || got[1] == 0 {
			s.t.Errorf("delta-rs reads version and rows %v of %s, we %v", got, name, want)
		}
	}
}

// upload copies a folder to a URL.
func (s *shop) upload(folder, to string) {
	s.t.Helper()
	st, err := compose.OpenStore(s.t.Context(), to)
	if err != nil {
		s.t.Fatal(err)
	}
	err = fs.WalkDir(os.DirFS(folder), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		defer f.Close()
		return st.Put(s.t.Context(), name, f, store.PutOptions{})
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestURLs(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "KEY")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
	t.Setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=acct;AccountKey=SECRET")
	for _, name := range []string{
		"ftp://host/x", "s3://", "s3:///x", "s3://user:SECRET@bucket/x", "s3://bucket/x?nonsense=SECRET", "az://acct", "az://other/container/x", "az://acct/container",
		"gs://bucket/x", "://", "s3://b ucket/x",
	} {
		if _, err := compose.OpenStore(t.Context(), name); fault.KindOf(err) != fault.InvalidInput || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	name := "https://acct.blob.core.windows.net/container/lake?sv=1&sig=SECRET"
	if _, err := compose.OpenStore(t.Context(), name); err != nil {
		t.Error(err)
	}
	g := globals{lake: name}
	where, err := placeOf(name)
	if err != nil || strings.Contains(where.Local+compose.Displayed(name)+g.flags(), "SECRET") {
		t.Errorf("%+v shows a signature, or %v", where, err)
	}
}
