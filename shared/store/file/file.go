//go:build unix

// Package file keeps objects as files under a root folder, for a lake on a local disk.
//
// A write goes to a temporary file in the target's own folder, is flushed to the disk, and then appears under
// its key in one atomic step: link, which fails when the name exists (put-if-absent), or rename. At last the
// folder is flushed. A reader sees a whole object or none, also after a crash; what a crash leaves is at most
// a temporary file (store.TempPrefix), which no listing shows and Sweep removes.
//
// Limits that object storage does not have: "a" and "a/b" cannot both be keys, a segment is at most 255
// bytes, and whether "A" and "a" differ is up to the file system. A symbolic link to a file is an object; a
// listing does not descend into a symbolic link to a folder.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

var (
	_ store.Store      = (*Store)(nil)
	_ store.Local      = (*Store)(nil)
	_ store.FilePutter = (*Store)(nil)
	_ store.Sweeper    = (*Store)(nil)
)

// Store is a store.Store whose objects are files. It is also store.Local, store.FilePutter and store.Sweeper. Any number of
// processes may use the same root at the same time.
type Store struct {
	root  string // absolute
	temps atomic.Int64

	mu   sync.Mutex
	dirs map[string]bool // folders that this process knows to be on the disk, entry in the parent included
}

// New opens the store under root, and makes the folder if it is not there.
func New(root string) (*Store, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fault.New(fault.InvalidInput, "open store", root, "%w", err)
	}
	if err := makeRoot(abs); err != nil {
		return nil, translate("open store", abs, err)
	}
	return &Store{root: abs, dirs: map[string]bool{abs: true}}, nil
}

// Path implements store.Local.
func (s *Store) Path(key string) (string, error) {
	if err := store.CheckKey(key); err != nil {
		return "", err
	}
	return filepath.Join(s.root, filepath.FromSlash(key)), nil
}

// start checks what every operation on a key checks first, and gives the key's file.
func (s *Store) start(ctx context.Context, op, key string) (string, error) {
	path, err := s.Path(key)
	if err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("%s %s: %w", op, key, err)
	}
	return path, nil
}

// Open implements store.Store. The object stays readable to the end when it is replaced or deleted meanwhile.
func (s *Store) Open(ctx context.Context, key string, r store.Range) (io.ReadCloser, error) {
	if err := store.CheckRange(key, r); err != nil {
		return nil, err
	}
	path, err := s.start(ctx, "open", key)
	if err != nil {
		return nil, err
	}
	// Without O_NONBLOCK the opening of a named pipe would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, translate("open", key, err)
	}
	if err := seek(f, r.Offset); err != nil {
		f.Close()
		return nil, translate("open", key, err)
	}
	body := io.Reader(f)
	if r.Length > 0 {
		body = io.LimitReader(f, r.Length)
	}
	return reader{store.ContextReader(ctx, body), f}, nil
}

type reader struct {
	io.Reader
	io.Closer
}

func seek(f *os.File, offset int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fs.ErrNotExist
	}
	_, err = f.Seek(offset, io.SeekStart)
	return err
}

// Stat implements store.Store.
func (s *Store) Stat(ctx context.Context, key string) (store.Object, error) {
	path, err := s.start(ctx, "stat", key)
	if err != nil {
		return store.Object{}, err
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return store.Object{}, translate("stat", key, err)
	}
	return object(key, info), nil
}

// object describes a file. The ETag holds the inode because two writes within one tick of the file system's
// clock have the same time; a new temporary file never has the inode of the one it replaces.
func object(key string, info fs.FileInfo) store.Object {
	var inode uint64
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = uint64(st.Ino)
	}
	return store.Object{
		Key: key, Size: info.Size(), ModTime: info.ModTime(),
		ETag: fmt.Sprintf("%x-%x-%x", info.ModTime().UnixNano(), info.Size(), inode),
	}
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, key string, body io.Reader, o store.PutOptions) error {
	path, err := s.start(ctx, "put", key)
	if err != nil {
		return err
	}
	if err := s.refuseEarly(path, o); err != nil {
		return translate("put", key, err)
	}
	temp, err := s.createTemp(filepath.Dir(path))
	if err != nil {
		return translate("put", key, err)
	}
	defer os.Remove(temp.Name()) // gone already when all went well
	source := &source{r: store.ContextReader(ctx, body)}
	_, err = io.Copy(temp, source)
	if source.err != nil {
		temp.Close()
		return fmt.Errorf("put %s: body: %w", key, source.err)
	}
	if err == nil {
		err = temp.Sync()
	}
	if cerr := temp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return translate("put", key, err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return translate("put", key, s.appear(temp.Name(), path, o))
}

// source remembers the body's own error, so that it is told apart from the disk's.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// PutFile implements store.FilePutter: it moves the file, or copies it when it is on another file system.
func (s *Store) PutFile(ctx context.Context, key, path string, o store.PutOptions) error {
	target, err := s.start(ctx, "put", key)
	if err != nil {
		return err
	}
	if err := s.refuseEarly(target, o); err != nil {
		return translate("put", key, err)
	}
	if err := syncFile(path); err != nil {
		return fault.New(fault.Internal, "put", key, "file to store: %w", err)
	}
	if err := s.makeDirs(filepath.Dir(target)); err != nil {
		return translate("put", key, err)
	}
	err = s.appear(path, target, o)
	if errors.Is(err, fs.ErrNotExist) { // the folder went since this process made it
		s.forget(filepath.Dir(target))
		if err = s.makeDirs(filepath.Dir(target)); err == nil {
			err = s.appear(path, target, o)
		}
	}
	if errors.Is(err, syscall.EXDEV) {
		if err := s.copyFile(ctx, key, path, o); err != nil {
			return err
		}
	} else if err != nil {
		return translate("put", key, err)
	}
	_ = os.Remove(path) // the other name of what was linked, or the original of a copy
	return nil
}

func (s *Store) copyFile(ctx context.Context, key, path string, o store.PutOptions) error {
	f, err := os.Open(path)
	if err != nil {
		return translate("put", key, err)
	}
	defer f.Close()
	return s.Put(ctx, key, f, o)
}

// Delete implements store.Store. The folder stays.
func (s *Store) Delete(ctx context.Context, key string) error {
	path, err := s.start(ctx, "delete", key)
	if err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err == nil && info.IsDir() {
		return nil // a folder is no object
	}
	if err == nil {
		err = os.Remove(path)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return translate("delete", key, err)
}
