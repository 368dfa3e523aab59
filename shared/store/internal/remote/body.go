package remote

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
)

// Opener opens the body of a read without its first skip bytes. With a skip it must give an error when the object is no longer the one that
// was opened first. The body may be read as long as ctx lasts.
type Opener func(ctx context.Context, skip int64) (io.ReadCloser, error)

// Open reads what open gives. A connection that breaks or stalls midway is followed by another from the byte where it did.
func Open(ctx context.Context, l Limits, key string, open Opener) (io.ReadCloser, error) {
	b := &body{ctx: ctx, limits: l, key: key, open: open}
	if err := b.connect(); err != nil {
		return nil, err
	}
	return b, nil
}

type body struct {
	ctx    context.Context
	limits Limits
	key    string
	open   Opener

	current io.ReadCloser
	cut     context.CancelFunc // ends the current connection
	read    int64
	resumes int
}

// connect opens the body from where it was read to.
func (b *body) connect() error {
	ctx, cut := context.WithCancel(b.ctx)
	stalled := time.AfterFunc(b.limits.Request, cut)
	current, err := b.open(ctx, b.read)
	if !stalled.Stop() {
		if err == nil {
			current.Close()
		}
		err = fault.New(fault.Unavailable, "read", b.key, "no answer in %v", b.limits.Request)
	}
	if err != nil {
		cut()
		if b.ctx.Err() != nil {
			return b.ctx.Err()
		}
		return err
	}
	b.current, b.cut = current, cut
	return nil
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	for {
		if err := b.ctx.Err(); err != nil {
			return 0, err
		}
		stalled := time.AfterFunc(b.limits.Stall, b.cut)
		n, err := b.current.Read(p)
		stopped := stalled.Stop()
		b.read += int64(n)
		switch {
		case n > 0 && !errors.Is(err, io.EOF):
			return n, nil // a broken connection says so again
		case err == nil || errors.Is(err, io.EOF):
			return n, err
		case b.ctx.Err() != nil:
			return 0, b.ctx.Err()
		case (stopped && !broken(err)) || b.resumes >= b.limits.Resumes:
			return 0, fault.New(fault.Unavailable, "read", b.key, "after %d bytes: %w", b.read, err)
		}
		b.resumes++
		if err := b.limits.wait(b.ctx, b.resumes); err != nil {
			return 0, err
		}
		_ = b.Close()
		if err := b.connect(); err != nil {
			return 0, err
		}
	}
}

// Close implements io.Closer.
func (b *body) Close() error {
	err := b.current.Close()
	b.cut()
	return err
}

// broken tells a lost connection from an answer that is wrong, such as one with a false checksum: that must not be read around.
func broken(err error) bool {
	var n net.Error
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) || errors.As(err, &n)
}
