//go:build unix

package file_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/shared/store/storetest"
)

func open(t *testing.T, root string) *file.Store {
	t.Helper()
	s, err := file.New(root)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s store.Store, key, body string) {
	t.Helper()
	if err := s.Put(t.Context(), key, strings.NewReader(body), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

func keys(t *testing.T, s store.Store) (all []string) {
	t.Helper()
	for o, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o.Key)
	}
	return all
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) })
}

func TestConformanceBelowMissingRoot(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, filepath.Join(t.TempDir(), "new", "lake")) })
}

func TestStreamsInBoundedMemory(t *testing.T) {
	if peak := storetest.Large(t, open(t, t.TempDir()), 64<<20); peak > 8<<20 {
		t.Errorf("64 MiB in and out took %d KiB of heap", peak>>10)
	}
}

// No operation, also no refused one, leaves a temporary file.
func TestLeavesNoTemporaryFiles(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	put(t, s, "d/k", "1")
	put(t, s, "d/k", "2")
	err := s.Put(t.Context(), "d/k", strings.NewReader("3"), store.PutOptions{IfAbsent: true})
	if !errors.Is(err, store.ErrExists) {
		t.Fatal(err)
	}
	got, err := os.ReadDir(filepath.Join(root, "d"))
	if err != nil || len(got) != 1 {
		t.Errorf("folder holds %v, %v", got, err)
	}
}

func TestTemporaryFilesAreNotListed(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	put(t, s, "d/k", "1")
	for _, p := range []string{"d/" + store.TempPrefix + "9-9", store.TempPrefix + "1"} {
		if err := os.WriteFile(filepath.Join(root, p), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := keys(t, s); !slices.Equal(got, []string{"d/k"}) {
		t.Errorf("listed %q", got)
	}
}

// A sweep removes old temporary files below its prefix, also through links and views, and nothing else. A writer whose temporary file it
// took fails, and leaves no object.
func TestSweep(t *testing.T) {
	root := t.TempDir()
	now, link := time.Now(), filepath.Join(t.TempDir(), "lake")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	s := open(t, link)
	temp := func(name string) string { return store.TempPrefix + name }
	for name, age := range map[string]time.Duration{
		"a/t/" + temp("1-1"): 25, "a/t/_delta_log/" + temp("9-2"): 48, "a/t/deep/er/" + temp("1-3"): 99, // to go
		"a/t/" + temp("1-4"): 23, "a/t2/" + temp("1-5"): 99, temp("1-6"): 99, "a/t/old.parquet": 99, "a/t/_x": 99,
	} {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("half"), 0o600),
			os.Chtimes(path, now, now.Add(-age*time.Hour))); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (all []string) {
		found, err := filepath.Glob(filepath.Join(root, "a/t*/*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range append(found, filepath.Join(root, temp("1-6"))) {
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				all = append(all, strings.TrimPrefix(path, root+"/"))
			}
		}
		return all
	}
	before := now.Add(-24 * time.Hour)
	for _, want := range []int{3, 0} {
		if n, err := store.Sweep(t.Context(), store.Sub(store.Sub(s, "a"), ""), "t/", before); n != want || err != nil {
			t.Errorf("removed %d, want %d: %v", n, want, err)
		}
	}
	if want := []string{"a/t/" + temp("1-4"), "a/t/_x", "a/t/old.parquet", "a/t2/" + temp("1-5"), temp("1-6")}; !slices.Equal(left(), want) {
		t.Errorf("left are %q, want %q", left(), want)
	}
	if n, err := store.Sweep(t.Context(), s, "none/x", before); n != 0 || err != nil {
		t.Error(n, err)
	}
	if n, err := store.Sweep(t.Context(), s, "", before); n != 2 || err != nil {
		t.Error(n, err)
	}

	late := func() {
		if n, err := s.Sweep(t.Context(), "late/", time.Now().Add(time.Hour)); n != 1 || err != nil {
			t.Error(n, err)
		}
	}
	for _, o := range []store.PutOptions{{}, {IfAbsent: true}} {
		if err := s.Put(t.Context(), "late/k", &atEnd{strings.NewReader("body"), late}, o); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("put whose file was swept: %v", err)
		}
		if _, err := s.Stat(t.Context(), "late/k"); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	}
}

// atEnd does something when all is read.
type atEnd struct {
	io.Reader
	do func()
}

func (a *atEnd) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if err == io.EOF && a.do != nil {
		a.do()
		a.do = nil
	}
	return n, err
}

// What is no regular file is no object; a link to a file is one, and a link to a folder is not entered.
func TestForeignEntries(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	put(t, s, "d/k", "content")
	for link, target := range map[string]string{"link": "d/k", "dangling": "none", "loop": ".", "folder": "d"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, s); !slices.Equal(got, []string{"d/k", "link"}) {
		t.Errorf("listed %q", got)
	}
	if b, err := store.ReadAll(t.Context(), s, "link", 100); err != nil || string(b) != "content" {
		t.Errorf("link reads %q, %v", b, err)
	}
	for _, k := range []string{"dangling", "pipe", "d"} {
		if _, err := s.Open(t.Context(), k, store.Range{}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Open(%q): %v", k, err)
		}
	}
}

func TestObjectAndFolderOfOneName(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, "a", "x")
	put(t, s, "d/k", "x")
	for _, key := range []string{"a/b", "a/b/c", "d", strings.Repeat("n", 256)} {
		for _, o := range []store.PutOptions{{}, {IfAbsent: true}} {
			err := s.Put(t.Context(), key, strings.NewReader("y"), o)
			if fault.KindOf(err) != fault.InvalidInput || fault.HintOf(err) == "" {
				t.Errorf("Put(%q, %v): %v, hint %q", key, o, err, fault.HintOf(err))
			}
		}
	}
	if got := keys(t, s); !slices.Equal(got, []string{"a", "d/k"}) {
		t.Errorf("listed %q", got)
	}
}

// A folder that somebody removes while the store is open is made again.
func TestRemovedFolder(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	put(t, s, "a/b/k", "x")
	if err := os.RemoveAll(filepath.Join(root, "a")); err != nil {
		t.Fatal(err)
	}
	put(t, s, "a/b/k2", "x")
	if err := os.RemoveAll(filepath.Join(root, "a")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.PutFile(t.Context(), "a/b/k3", path, store.PutOptions{}); err != nil {
		t.Error(err)
	}
	if got := keys(t, s); !slices.Equal(got, []string{"a/b/k3"}) {
		t.Errorf("listed %q", got)
	}
}

// PutFile moves: the object is the same file, not a copy.
func TestPutFileDoesNotCopy(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	path := filepath.Join(root, store.TempPrefix+"given")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutFile(t.Context(), "k", path, store.PutOptions{IfAbsent: true}); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(filepath.Join(root, "k")); err != nil || !os.SameFile(before, after) {
		t.Errorf("the object is a copy (%v)", err)
	}
}

// PutFile copies between file systems, /dev/shm being another one on Linux.
func TestPutFileAcrossFileSystems(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "lakestep")
	if err != nil {
		t.Skip("SKIPPED: no /dev/shm, so no second file system to move a file from")
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, t.TempDir())
	if err := s.PutFile(t.Context(), "d/k", path, store.PutOptions{IfAbsent: true}); err != nil {
		t.Fatal(err)
	}
	if b, err := store.ReadAll(t.Context(), s, "d/k", 100); err != nil || string(b) != "content" {
		t.Errorf("reads %q, %v", b, err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the stored file is still there: %v", err)
	}
}

func TestNewOnAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := file.New(path); fault.KindOf(err) != fault.InvalidInput {
		t.Errorf("New on a file: %v", err)
	}
}

func TestReadOnlyFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("SKIPPED: root may write everywhere")
	}
	root := t.TempDir()
	s := open(t, root)
	if err := os.Chmod(root, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(root, 0o700)
	err := s.Put(t.Context(), "k", strings.NewReader("x"), store.PutOptions{})
	if fault.KindOf(err) != fault.InvalidInput || fault.HintOf(err) == "" {
		t.Errorf("Put: %v, hint %q", err, fault.HintOf(err))
	}
}
