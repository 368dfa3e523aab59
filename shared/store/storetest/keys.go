package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// listOrder has names around the slash (0x2f): '-' (0x2d) and '.' (0x2e) sort before it, '0' after.
func listOrder(t *testing.T, s store.Store) {
	keys := []string{
		"a-b", "a-b2/x", "a.b", "a/b", "a/b-c/x", "a/b.json", "a/b/c/d", "a/bc", "a0", "a0/b", "ab", "b", "ä", "_delta_log/0.json",
	}
	// As a file system has it: a name is an object or a folder.
	keys = slices.DeleteFunc(keys, func(k string) bool { return k == "a/b" || k == "a0" })
	for _, k := range keys {
		put(t, s, k, k)
	}
	slices.Sort(keys)
	for _, prefix := range []string{"", "a", "a/", "a/b", "a/b/", "a/b/c", "a-", "a-b2", "a0/", "z", "_", "ä", "a/b/c/d", "a/b/c/d/"} {
		for _, after := range append([]string{"", "A", "a", "a/", "a/b/", "a/b/c/d/e", "a/bz", "zz"}, keys...) {
			var want []string
			for _, k := range keys {
				if strings.HasPrefix(k, prefix) && k > after {
					want = append(want, k)
				}
			}
			wantKeys(t, "List "+prefix+" after "+after, list(t, s, prefix, after), want)
		}
	}
}

// listRandom compares listings of random sets of keys with the definition.
func listRandom(t *testing.T, s store.Store) {
	name := rapid.StringMatching(`[a-b.0/-]{1,6}`).Filter(func(k string) bool { return !strings.HasSuffix(k, ".") && !strings.Contains(k, "./") })
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		v := store.Sub(s, "round"+strings.Repeat("x", round))
		var keys []string
		for _, k := range rapid.SliceOfN(name, 0, 8).Draw(rt, "keys") {
			if store.CheckKey(k) == nil && !clashes(keys, k) {
				keys = append(keys, k)
				put(t, v, k, k)
			}
		}
		slices.Sort(keys)
		prefix := rapid.OneOf(rapid.Just(""), name).Draw(rt, "prefix")
		after := rapid.OneOf(rapid.Just(""), name).Draw(rt, "after")
		if store.CheckPrefix(prefix) != nil {
			return
		}
		var want []string
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) && k > after {
				want = append(want, k)
			}
		}
		if got := list(t, v, prefix, after); !slices.Equal(got, want) {
			rt.Fatalf("keys %q, List(%q, %q):\n got %q\nwant %q", keys, prefix, after, got, want)
		}
	})
}

// listMany: a listing of more objects than a service gives at once is whole, in order, and begins where it is told to.
func listMany(t *testing.T, s store.Store) {
	const n = 1100
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("log/%06d", i)
	}
	errs := together(racers, func(i int) error {
		for k := i; k < n; k += racers {
			if err := s.Put(t.Context(), keys[k], strings.NewReader("x"), store.PutOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	if errs != nil {
		t.Fatal(errs)
	}
	wantKeys(t, "List", list(t, s, "log/", ""), keys)
	for _, i := range []int{0, 998, 999, 1000, n - 2, n - 1} {
		wantKeys(t, "List after "+keys[i], list(t, s, "log/", keys[i]), keys[i+1:])
	}
}

// clashes tells whether a file system can hold k beside keys.
func clashes(keys []string, k string) bool {
	return slices.ContainsFunc(keys, func(o string) bool {
		return o == k || strings.HasPrefix(o, k+"/") || strings.HasPrefix(k, o+"/")
	})
}

func listEnds(t *testing.T, s store.Store) {
	for _, k := range []string{"a/1", "a/2", "b/3"} {
		put(t, s, k, k)
	}
	n := 0
	for range s.List(t.Context(), "", "") {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("an ended iteration gave %d objects", n)
	}
	wantKeys(t, "prefix with nothing", list(t, s, "none/at/all/", ""), nil)
	for _, prefix := range []string{"/a", "a//", "../", "a/../b"} {
		var err error
		for _, err = range s.List(t.Context(), prefix, "") {
		}
		wantKind(t, "List "+prefix, err, fault.InvalidInput)
	}
}

func oddKeys(t *testing.T, s store.Store, cannot []string) {
	keys := []string{
		"plain", "with space", "tab\there", "new\nline", "perc%20ent", "plus+and&", `quote"'`, `back\slash`, "a:b", "*?<>|", "~",
		"dt=2026-01-01/part=%2F/x.parquet", "...", "..a", ".hidden", "-dash", "日本語/データ.parquet", "é", "e\u0301", "🏠/🔑",
		"\u0001", strings.Repeat("n", 200), strings.Repeat("deep/", 40) + "x", "trailing.", "trailing ",
	}
	keys = slices.DeleteFunc(keys, func(k string) bool { return slices.Contains(cannot, k) })
	for _, k := range keys {
		put(t, s, k, k)
	}
	for _, k := range keys {
		if got := get(t, s, k, store.Range{}); got != k {
			t.Errorf("%q holds %q", k, got)
		}
	}
	slices.Sort(keys)
	wantKeys(t, "List", list(t, s, "", ""), keys)
}

func badKeys(t *testing.T, s store.Store) {
	for _, k := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/..", "a/./b", "a/../../b", "nul\x00", "\xff", "a/\xc3",
		strings.Repeat("k", store.MaxKey+1), store.TempPrefix + "1", "a/" + store.TempPrefix + "/b",
	} {
		_, err := s.Open(t.Context(), k, store.Range{})
		wantKind(t, "Open "+k, err, fault.InvalidInput)
		_, err = s.Stat(t.Context(), k)
		wantKind(t, "Stat "+k, err, fault.InvalidInput)
		wantKind(t, "Put "+k, s.Put(t.Context(), k, strings.NewReader("x"), store.PutOptions{}), fault.InvalidInput)
		wantKind(t, "Delete "+k, s.Delete(t.Context(), k), fault.InvalidInput)
		if l, ok := s.(store.Local); ok {
			_, err := l.Path(k)
			wantKind(t, "Path "+k, err, fault.InvalidInput)
		}
	}
	wantKeys(t, "List", list(t, s, "", ""), nil)
}

func readAll(t *testing.T, s store.Store) {
	put(t, s, "k", "0123456789")
	if b, err := store.ReadAll(t.Context(), s, "k", 10); err != nil || string(b) != "0123456789" {
		t.Errorf("ReadAll = %q, %v", b, err)
	}
	_, err := store.ReadAll(t.Context(), s, "k", 9)
	wantKind(t, "ReadAll of more than the limit", err, fault.InvalidInput)
	if _, err := store.ReadAll(t.Context(), s, "none", 9); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("ReadAll of nothing: %v", err)
	}
}

// sub: a view keeps to its prefix, and is local and a file putter when its store is.
func sub(t *testing.T, s store.Store) {
	v := store.Sub(store.Sub(s, "lake/"), "silver")
	put(t, v, "a/x", "1")
	put(t, v, "b", "2")
	put(t, s, "lake/silver2/c", "3")
	put(t, s, "lake/a", "4")
	wantKeys(t, "List of the view", list(t, v, "", ""), []string{"a/x", "b"})
	wantKeys(t, "List after", list(t, v, "", "a/x"), []string{"b"})
	wantKeys(t, "List prefix", list(t, v, "a", ""), []string{"a/x"})
	wantKeys(t, "List of the store", list(t, s, "", ""), []string{"lake/a", "lake/silver/a/x", "lake/silver/b", "lake/silver2/c"})
	if o, err := v.Stat(t.Context(), "a/x"); err != nil || o.Key != "a/x" {
		t.Errorf("Stat = %+v, %v", o, err)
	}
	for _, k := range []string{"", "/x", "../x", ".."} {
		_, err := v.Stat(t.Context(), k)
		wantKind(t, "Stat "+k, err, fault.InvalidInput)
	}
	if err := v.Delete(t.Context(), "b"); err != nil {
		t.Error(err)
	}
	wantKeys(t, "List after Delete", list(t, v, "", ""), []string{"a/x"})
	_, l1 := s.(store.Local)
	_, l2 := v.(store.Local)
	_, f1 := s.(store.FilePutter)
	_, f2 := v.(store.FilePutter)
	if l1 != l2 || f1 != f2 {
		t.Errorf("view Local %v FilePutter %v, store %v %v", l2, f2, l1, f1)
	}
	if store.Sub(s, "") != s {
		t.Error("Sub with an empty prefix is another store")
	}
}
