package store

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
)

// ReadAll reads an object that is known to be small. One of more than limit bytes is an InvalidInput fault,
// of which no more than limit+1 bytes have been read.
func ReadAll(ctx context.Context, s Store, key string, limit int64) (_ []byte, err error) {
	r, err := s.Open(ctx, key, Range{})
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := r.Close(); err == nil {
			err = cerr
		}
	}()
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if int64(len(b)) > limit {
		return nil, fault.New(fault.InvalidInput, "read", key, "the object is larger than %d bytes, the most that is read whole", limit)
	}
	return b, nil
}

// PutFile stores the local file at path as an object, and removes it from path: without copying it where s is
// a FilePutter. After an error the file is still there. That a stored file cannot be removed is no error.
func PutFile(ctx context.Context, s Store, key, path string, o PutOptions) error {
	if fp, ok := s.(FilePutter); ok {
		return fp.PutFile(ctx, key, path, o)
	}
	f, err := os.Open(path)
	if err != nil {
		return fault.New(fault.Internal, "put", key, "file to store: %w", err)
	}
	defer f.Close()
	if err := s.Put(ctx, key, f, o); err != nil {
		return err
	}
	_ = os.Remove(path)
	return nil
}

// Sweep removes what killed writers left under prefix before a time, where s is a Sweeper. Elsewhere nothing can be left.
func Sweep(ctx context.Context, s Store, prefix string, before time.Time) (removed int, err error) {
	if sw, ok := s.(Sweeper); ok {
		return sw.Sweep(ctx, prefix, before)
	}
	return 0, nil
}

// ContextReader reads from r until ctx ends; from then on Read gives ctx's error. Adapters use it so that
// long reads and writes honour ctx.
func ContextReader(ctx context.Context, r io.Reader) io.Reader { return contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
