package sample

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// save writes a file whole (temporary file and rename), unless it is there already with this content. A file
// with another content is somebody else's.
func (s *Summary) save(path string, content []byte) error {
	switch old, err := os.ReadFile(path); {
	case err == nil && bytes.Equal(old, content):
		s.Kept++
		return nil
	case err == nil:
		return fault.New(fault.InvalidInput, "write sample", path, "another file of this name is there").
			WithHint("remove the file, or write the sample to an empty folder")
	case !errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.InvalidInput, "write sample", path, "%w", err)
	}
	if err := replace(path, content); err != nil {
		return fault.New(fault.Unavailable, "write sample", path, "%w", err)
	}
	s.Written++
	return nil
}

func replace(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	temp := filepath.Join(filepath.Dir(path), store.TempPrefix+filepath.Base(path))
	if err := os.WriteFile(temp, content, 0o666); err != nil {
		return err
	}
	defer os.Remove(temp) // gone already when all went well
	return os.Rename(temp, path)
}
