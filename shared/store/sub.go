package store

import (
	"context"
	"io"
	"iter"
	"strings"
	"time"
)

// Sub is the part of s under prefix ("lake/silver", with or without a trailing slash) as a store of its
// own: key "x" is "lake/silver/x" of s. It is Local and a FilePutter when s is. An empty prefix gives s.
// Errors name the keys of s.
func Sub(s Store, prefix string) Store {
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "" {
		return s
	}
	v := sub{s, prefix + "/"}
	local, isLocal := s.(Local)
	putter, isPutter := s.(FilePutter)
	switch {
	case isLocal && isPutter:
		return struct {
			sub
			subLocal
			subPutter
		}{v, subLocal{local, v.prefix}, subPutter{putter, v.prefix}}
	case isLocal:
		return struct {
			sub
			subLocal
		}{v, subLocal{local, v.prefix}}
	case isPutter:
		return struct {
			sub
			subPutter
		}{v, subPutter{putter, v.prefix}}
	}
	return v
}

// sub joins prefix and key as strings; the inner store's CheckKey of the whole refuses all that a check of
// the key alone would.
type sub struct {
	inner  Store
	prefix string // ends with a slash
}

func (v sub) Open(ctx context.Context, key string, r Range) (io.ReadCloser, error) {
	return v.inner.Open(ctx, v.prefix+key, r)
}

func (v sub) Stat(ctx context.Context, key string) (Object, error) {
	o, err := v.inner.Stat(ctx, v.prefix+key)
	o.Key = strings.TrimPrefix(o.Key, v.prefix)
	return o, err
}

func (v sub) Put(ctx context.Context, key string, body io.Reader, o PutOptions) error {
	return v.inner.Put(ctx, v.prefix+key, body, o)
}

func (v sub) List(ctx context.Context, prefix, after string) iter.Seq2[Object, error] {
	if after != "" {
		after = v.prefix + after
	}
	return func(yield func(Object, error) bool) {
		for o, err := range v.inner.List(ctx, v.prefix+prefix, after) {
			o.Key = strings.TrimPrefix(o.Key, v.prefix)
			if !yield(o, err) {
				return
			}
		}
	}
}

func (v sub) Delete(ctx context.Context, key string) error {
	return v.inner.Delete(ctx, v.prefix+key)
}

func (v sub) Sweep(ctx context.Context, prefix string, before time.Time) (int, error) {
	return Sweep(ctx, v.inner, v.prefix+prefix, before)
}

type subLocal struct {
	local  Local
	prefix string
}

func (v subLocal) Path(key string) (string, error) { return v.local.Path(v.prefix + key) }

type subPutter struct {
	putter FilePutter
	prefix string
}

func (v subPutter) PutFile(ctx context.Context, key, path string, o PutOptions) error {
	return v.putter.PutFile(ctx, v.prefix+key, path, o)
}
