package inject

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/lakestep/lakestep/shared/store"
)

func (w wrapped) Put(ctx context.Context, key string, body io.Reader, o store.PutOptions) error {
	apply := func() error { return w.inner.Put(ctx, key, body, o) }
	if w.in.breaksBody() {
		all, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		apply = func() error { return w.inner.Put(ctx, key, bytes.NewReader(all), o) }
		return w.write(putOp(key, o), func() error { return w.tear(key, all) }, apply)
	}
	return w.write(putOp(key, o), nil, apply)
}

func (w wrapped) PutFile(ctx context.Context, key, path string, o store.PutOptions) error {
	if w.in.breaksBody() {
		all, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return w.write(putOp(key, o), func() error { return w.tear(key, all) }, func() error {
			if err := w.inner.Put(ctx, key, bytes.NewReader(all), o); err != nil {
				return err
			}
			_ = os.Remove(path)
			return nil
		})
	}
	return w.write(putOp(key, o), nil, func() error { return store.PutFile(ctx, w.inner, key, path, o) })
}

func putOp(key string, o store.PutOptions) Op {
	if o.IfAbsent {
		return Op{PutIfAbsent, key}
	}
	return Op{Put, key}
}

// breaksBody tells whether the plan is one for which a write's body must be at hand: more than once, or in part.
func (in *Injector) breaksBody() bool { return in.plan.How == Twice || in.plan.How == Tear }

// write applies a write as the plan has it. The store's own refusal (ErrExists) is hidden by a crash or a
// time-out, as it is in life.
func (w wrapped) write(op Op, tear, apply func() error) error {
	v := w.in.next(op)
	if v.how == Tear && tear != nil {
		if err := tear(); err != nil {
			return err
		}
	}
	var err error
	if v.apply {
		err = apply()
	}
	if v.how == Twice && err == nil {
		err = apply()
	}
	if v.err != nil {
		return v.err
	}
	return err
}

// tear leaves what a file store leaves that dies while it writes: a part, under a name that is no key.
func (w wrapped) tear(key string, body []byte) error {
	l, ok := w.inner.(store.Local)
	if !ok {
		return nil // object storage knows no halves
	}
	path, err := l.Path(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	name := fmt.Sprintf("%storn-%d", store.TempPrefix, len(w.in.Ops()))
	return os.WriteFile(filepath.Join(filepath.Dir(path), name), body[:len(body)/2], 0o666)
}
