package storetest

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/lakestep/lakestep/shared/store"
)

// putFile tests store.PutFile, on whichever way it takes for s.
func putFile(t *testing.T, s store.Store) {
	path := func(body string) string {
		p := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(p, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	one := path("one")
	if err := store.PutFile(t.Context(), s, "d/k", one, store.PutOptions{IfAbsent: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(one); !os.IsNotExist(err) {
		t.Errorf("the stored file is still there: %v", err)
	}
	two := path("two")
	err := store.PutFile(t.Context(), s, "d/k", two, store.PutOptions{IfAbsent: true})
	wantErr(t, "PutFile of an existing key", err, store.ErrExists)
	if _, err := os.Stat(two); err != nil {
		t.Errorf("the refused file is gone: %v", err)
	}
	if got := get(t, s, "d/k", store.Range{}); got != "one" {
		t.Errorf("the loser wrote %q", got)
	}
	if err := store.PutFile(t.Context(), s, "d/k", two, store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, "d/k", store.Range{}); got != "two" {
		t.Errorf("after the overwrite: %q", got)
	}
	if err := store.PutFile(t.Context(), s, "new", filepath.Join(t.TempDir(), "none"), store.PutOptions{}); err == nil {
		t.Error("PutFile of a file that is not there gives no error")
	}
	wantKeys(t, "List", list(t, s, "", ""), []string{"d/k"})
}

// Large writes and reads an object of size bytes and checks its content. It gives the most memory in bytes
// that the heap had grown by at any MiB on the way: an adapter that streams bounds it in its own test.
func Large(t *testing.T, s store.Store, size int64) (peak uint64) {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	base, seen := m.HeapAlloc, int64(0)
	sample := func(n int) {
		if seen += int64(n); seen >= 1<<20 {
			seen = 0
			runtime.ReadMemStats(&m)
			if m.HeapAlloc > base {
				peak = max(peak, m.HeapAlloc-base)
			}
		}
	}
	wrote := sha256.New()
	source := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), size), wrote)
	if err := s.Put(t.Context(), "large", meter{source, sample}, store.PutOptions{IfAbsent: true}); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), "large", store.Range{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	read := sha256.New()
	n, err := io.Copy(read, meter{r, sample})
	if err != nil || n != size {
		t.Fatalf("read %d of %d bytes, %v", n, size, err)
	}
	if w, r := hex.EncodeToString(wrote.Sum(nil)), hex.EncodeToString(read.Sum(nil)); w != r {
		t.Errorf("wrote SHA-256 %s, read %s", w, r)
	}
	return peak
}

// meter tells how much is read through it.
type meter struct {
	r    io.Reader
	seen func(n int)
}

func (m meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.seen(n)
	return n, err
}
