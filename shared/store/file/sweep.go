//go:build unix

package file

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lakestep/lakestep/shared/store"
)

// Sweep implements store.Sweeper. A Put writes to its temporary file on and on: one that has not been touched for long has no writer. If it
// has, that Put fails as Unavailable when it comes to give the file its name.
func (s *Store) Sweep(ctx context.Context, prefix string, before time.Time) (removed int, err error) {
	if err := store.CheckPrefix(prefix); err != nil {
		return 0, err
	}
	folder := prefix[:strings.LastIndexByte(prefix, '/')+1]
	top := filepath.Join(s.root, filepath.FromSlash(folder)) + string(filepath.Separator) // as in List, it may be a link to a folder
	err = filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return unlessGone(err)
		}
		rel, err := filepath.Rel(top, path)
		if err != nil || !e.Type().IsRegular() || !strings.HasPrefix(e.Name(), store.TempPrefix) || !strings.HasPrefix(folder+filepath.ToSlash(rel), prefix) {
			return err
		}
		info, err := e.Info()
		if err != nil || !info.ModTime().Before(before) {
			return unlessGone(err)
		}
		if err := os.Remove(path); err != nil {
			return unlessGone(err) // another one's sweep, or its writer has come to the end
		}
		removed++
		return nil
	})
	return removed, translate("sweep", prefix, err)
}
