package remote

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// Upload is one write of one object. Its methods make one request each, which the SDK must not repeat by itself where noted; an error of kind
// Throttled or Unavailable says that it may be repeated, perhaps after it was applied, and store.ErrExists (wrapped) that the key exists.
type Upload interface {
	// Whole writes the object in one request, never repeated by the SDK.
	Whole(ctx context.Context, data []byte) error
	// Start begins an object of parts.
	Start(ctx context.Context) error
	// Part sends part n, from 1. Several are called at once. data is valid until it returns.
	Part(ctx context.Context, n int, data []byte) error
	// Finish makes the object of parts 1 to n appear, never repeated by the SDK.
	Finish(ctx context.Context, n int) error
	// Abort drops the parts.
	Abort(ctx context.Context) error
	// Mine tells whether the object that is there now was made by this write.
	Mine(ctx context.Context) (bool, error)
}

// Put writes body as object, whose name is for messages, by u: in one request when it fits into a part, otherwise in parts, none of which is visible before all are there.
//
// An answer that was lost is followed by another attempt; what that one is refused for is looked into: if the object carries the mark of this
// write, the first attempt was applied and Put succeeds. So ErrExists always means another writer's object.
func Put(ctx context.Context, l Limits, object string, body io.Reader, o store.PutOptions, u Upload) error {
	r := bufio.NewReader(store.ContextReader(ctx, body))
	data, last, err := l.first(r)
	switch {
	case err != nil:
		return fmt.Errorf("put %s: body: %w", object, err)
	case last:
		return l.decide(ctx, object, o, u, func(ctx context.Context) error { return u.Whole(ctx, data) })
	}
	if err := l.Within(ctx, u.Start); err != nil {
		return err
	}
	n, err := l.send(ctx, object, r, data, u)
	if err == nil {
		err = l.decide(ctx, object, o, u, func(ctx context.Context) error { return u.Finish(ctx, n) })
	}
	if err != nil {
		// Also when ctx has ended: what is left costs money until somebody finds it. That it cannot be dropped is not worth another error.
		_ = l.Within(context.WithoutCancel(ctx), u.Abort)
	}
	return err
}

// small is how much of a body is read before memory for a whole part is taken: most objects of a log are smaller.
const small = 64 << 10

// first reads the first part; last says that it is all.
func (l Limits) first(r *bufio.Reader) (data []byte, last bool, err error) {
	data, err = io.ReadAll(io.LimitReader(r, int64(min(small, l.Part))))
	if err != nil {
		return nil, false, err
	}
	if last, err = ended(r); last || err != nil {
		return data, last, err
	}
	part := make([]byte, l.Part)
	n, last, err := fill(r, part[copy(part, data):])
	return part[:len(data)+n], last, err
}

// fill reads into data until it is full or the body ends.
func fill(r *bufio.Reader, data []byte) (n int, last bool, err error) {
	n, err = io.ReadFull(r, data)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return n, true, nil
	}
	if err == nil {
		last, err = ended(r)
	}
	return n, last, err
}

func ended(r *bufio.Reader) (bool, error) {
	_, err := r.Peek(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// send sends data and what follows it as parts, and gives their number.
func (l Limits) send(ctx context.Context, object string, r *bufio.Reader, data []byte, u Upload) (n int, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	free := make(chan []byte, l.Parallel+1)
	for range l.Parallel {
		free <- nil // made when it is needed
	}
	for last := false; ; {
		n++
		number, part := n, data
		g.Go(func() error {
			defer func() { free <- part[:cap(part)] }()
			return l.Within(ctx, func(ctx context.Context) error { return u.Part(ctx, number, part) })
		})
		if last || ctx.Err() != nil {
			break
		}
		if n == maxParts {
			err = fault.New(fault.InvalidInput, "put", object, "it has more than %d parts of %d bytes", maxParts, l.Part)
			break
		}
		if data = <-free; data == nil {
			data = make([]byte, l.Part)
		}
		var size int
		if size, last, err = fill(r, data); err != nil {
			err = fmt.Errorf("put %s: body: %w", object, err)
			break
		}
		data = data[:size]
	}
	if err != nil {
		stop() // the parts on their way are for nothing
	}
	if perr := g.Wait(); err == nil {
		err = perr
	}
	return n, err
}

// decide makes one request until it is known to be applied or refused, or the attempts are used up.
func (l Limits) decide(ctx context.Context, object string, o store.PutOptions, u Upload, request func(context.Context) error) error {
	lost := false
	for n := 1; ; n++ {
		err := l.Within(ctx, request)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("put %s: %w", object, ctx.Err())
		case !fault.KindOf(err).Retryable() && !lost:
			return err
		case !fault.KindOf(err).Retryable(), n >= l.Attempts:
			return l.judge(ctx, object, o, u, err)
		}
		lost = true
		if err := l.wait(ctx, n); err != nil {
			return fmt.Errorf("put %s: %w", object, err)
		}
	}
}

// judge tells by what is there what became of a write whose last error is err.
func (l Limits) judge(ctx context.Context, object string, o store.PutOptions, u Upload, err error) error {
	return l.Within(ctx, func(ctx context.Context) error {
		mine, merr := u.Mine(ctx)
		switch {
		case mine:
			return nil
		case merr == nil && o.IfAbsent:
			return fmt.Errorf("put %s: %w", object, store.ErrExists)
		case merr != nil && !errors.Is(merr, store.ErrNotFound) && !fault.KindOf(err).Retryable():
			return fault.New(fault.Unavailable, "put", object, "whether it was written is not known: %w", merr)
		}
		return err
	})
}
