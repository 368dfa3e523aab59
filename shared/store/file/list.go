//go:build unix

package file

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/lakestep/lakestep/shared/store"
)

// List implements store.Store. It holds one folder's names per level in memory. Objects that appear or go
// during the iteration may or may not be in it.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	return func(yield func(store.Object, error) bool) {
		if err := store.CheckPrefix(prefix); err != nil {
			yield(store.Object{}, err)
			return
		}
		l := lister{ctx: ctx, root: s.root, prefix: prefix, after: after, yield: yield}
		folder := prefix[:strings.LastIndexByte(prefix, '/')+1]
		if err := l.list(folder); err != nil && !errors.Is(err, errStop) {
			yield(store.Object{}, translate("list", prefix, err))
		}
	}
}

// errStop ends the walk because the caller has enough.
var errStop = errors.New("stop")

type lister struct {
	ctx                 context.Context
	root, prefix, after string
	yield               func(store.Object, error) bool
}

// entry is a name in a folder; that of a folder ends with a slash, so that sorting by key puts "a-b" before
// "a/b" ('-' is 0x2d, '/' is 0x2f).
type entry struct {
	key string
	fs.DirEntry
}

// list walks the folder whose keys start with folder ("" or ending in a slash).
func (l *lister) list(folder string) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	entries, err := l.read(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			err = l.list(e.key)
		} else {
			err = l.show(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read gives the entries of a folder that may hold wanted keys, in order. A folder that is not there is empty.
func (l *lister) read(folder string) ([]entry, error) {
	d, err := os.Open(filepath.Join(l.root, filepath.FromSlash(folder)))
	if err != nil {
		return nil, unlessGone(err)
	}
	defer d.Close()
	all, err := d.ReadDir(-1)
	if err != nil {
		return nil, unlessGone(err)
	}
	entries := make([]entry, 0, len(all))
	for _, de := range all {
		e := entry{folder + de.Name(), de}
		if de.IsDir() {
			e.key += "/"
		}
		if !strings.HasPrefix(de.Name(), store.TempPrefix) && l.wanted(e) {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	return entries, nil
}

func (l *lister) wanted(e entry) bool {
	if !e.IsDir() {
		return strings.HasPrefix(e.key, l.prefix) && e.key > l.after
	}
	return (strings.HasPrefix(e.key, l.prefix) || strings.HasPrefix(l.prefix, e.key)) &&
		(e.key > l.after || strings.HasPrefix(l.after, e.key))
}

// show yields an object. Files that are gone by now, and what is no file, are passed over.
func (l *lister) show(e entry) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	info, err := e.Info()
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		info, err = os.Stat(filepath.Join(l.root, filepath.FromSlash(e.key)))
	}
	if err != nil {
		return unlessGone(err)
	}
	if info.Mode().IsRegular() && !l.yield(object(e.key, info), nil) {
		return errStop
	}
	return nil
}

func unlessGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	return err
}
