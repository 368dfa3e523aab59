//go:build unix

package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// errFolder says that the name of an object is taken by a folder, or that of a folder by an object.
var errFolder = errors.New("the file system cannot hold both an object and a folder of that name")

// refuseEarly spares the writing of a body that could not appear. What counts is the check in appear.
func (s *Store) refuseEarly(path string, o store.PutOptions) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return nil
	case info.IsDir():
		return errFolder
	case o.IfAbsent:
		return store.ErrExists
	}
	return nil
}

// appear gives the finished and flushed file at temp its name, atomically, and makes that last.
func (s *Store) appear(temp, path string, o store.PutOptions) error {
	var err error
	if o.IfAbsent {
		err = os.Link(temp, path)
	} else {
		err = os.Rename(temp, path)
	}
	if err == nil {
		return syncDir(filepath.Dir(path))
	}
	if info, serr := os.Lstat(path); serr == nil && info.IsDir() {
		return errFolder
	}
	if o.IfAbsent && errors.Is(err, fs.ErrExist) {
		return store.ErrExists
	}
	if o.IfAbsent && (errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP)) {
		return fault.New(fault.InvalidInput, "link in", filepath.Dir(path), "%w", err).
			WithHint("put the lake on a file system with hard links (ext4, xfs, btrfs, zfs, apfs, NFS): put-if-absent needs them")
	}
	return err
}

// createTemp makes an empty file in dir, and dir itself when it is missing.
func (s *Store) createTemp(dir string) (*os.File, error) {
	if err := s.makeDirs(dir); err != nil {
		return nil, err
	}
	f, err := s.tryTemp(dir)
	if errors.Is(err, fs.ErrNotExist) { // another process removed the folder since this one made it
		s.forget(dir)
		if err := s.makeDirs(dir); err != nil {
			return nil, err
		}
		f, err = s.tryTemp(dir)
	}
	return f, err
}

// tryTemp counts on until it finds a free name: process ids repeat between containers and after a crash.
func (s *Store) tryTemp(dir string) (*os.File, error) {
	for {
		name := fmt.Sprintf("%s%d-%d", store.TempPrefix, os.Getpid(), s.temps.Add(1))
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// makeDirs makes the folder and its parents up to the root, each with its entry on the disk. It flushes the
// parents also of folders that exist: whoever made them may not have come to it yet. Each only once.
func (s *Store) makeDirs(dir string) error {
	s.mu.Lock()
	known := s.dirs[dir]
	s.mu.Unlock()
	if known {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := s.makeDirs(parent); err != nil {
		return err
	}
	if err := makeDir(dir); err != nil {
		return err
	}
	s.mu.Lock()
	s.dirs[dir] = true
	s.mu.Unlock()
	return nil
}

func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o777)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := os.Stat(dir); err != nil {
		return err
	} else if !info.IsDir() {
		return errFolder
	}
	return syncDir(filepath.Dir(dir))
}

// forget drops dir and its parents below the root from the known folders.
func (s *Store) forget(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; dir != s.root; dir = filepath.Dir(dir) {
		delete(s.dirs, dir)
	}
}

func makeRoot(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return syscall.ENOTDIR
		}
		return nil
	}
	if err := makeRoot(filepath.Dir(dir)); err != nil {
		return err
	}
	return makeDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func syncFile(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// translate gives err the meaning it has for an object store. nil stays nil.
func translate(op, key string, err error) error {
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	var f *fault.Fault
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f), is(store.ErrExists) && op != "open store":
		return fmt.Errorf("%s %s: %w", op, key, err)
	case (op == "open" || op == "stat") && is(fs.ErrNotExist, syscall.ENOTDIR):
		return fmt.Errorf("%s %s: %w", op, key, store.ErrNotFound)
	case is(errFolder, syscall.ENOTDIR, syscall.EISDIR):
		return fault.New(fault.InvalidInput, op, key, "%w", err).
			WithHint("give the object another name, or remove what stands in its way")
	case is(syscall.ENAMETOOLONG):
		return fault.New(fault.InvalidInput, op, key, "%w", err).
			WithHint("a segment of a key may have 255 bytes on a file system")
	case is(fs.ErrPermission, syscall.EROFS):
		return fault.New(fault.InvalidInput, op, key, "%w", err).
			WithHint("check who owns the lake's folder and that it is writable")
	case is(syscall.ENOSPC, syscall.EDQUOT):
		return fault.New(fault.Unavailable, op, key, "%w", err).
			WithHint("free some disk space and run again")
	}
	return fault.New(fault.Unavailable, op, key, "%w", err)
}
