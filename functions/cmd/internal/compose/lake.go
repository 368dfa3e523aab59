package compose

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/store"
)

// OpenLake opens the lake in a folder or at a URL; version is the program's.
func OpenLake(ctx context.Context, name, version string) (*lake.Lake, error) {
	s, err := OpenStore(ctx, name)
	if err != nil {
		return nil, err
	}
	l := LakeIn(s, version)
	l.Resolve = Resolver(name)
	if root, ok := RootURI(name); ok && IsURL(name) {
		l.URL = strings.TrimSuffix(root, "/")
	}
	return l, nil
}

// LakeIn is the lake in a store.
func LakeIn(s store.Store, version string) *lake.Lake {
	return lake.New(lake.Options{Store: s, Now: func() time.Time { return time.Now().UTC() }, NewAttempt: NewAttempt, NewID: uuid.NewString, Version: version})
}

// NewAttempt is a random positive 63-bit number.
func NewAttempt() int64 {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand never fails on the systems that Go supports
	}
	return int64(binary.LittleEndian.Uint64(b[:])>>1 | 1)
}

// RootURI is the absolute URI of a folder or of a URL of S3, with a slash at its end; false for other stores, whose URIs engines write in several ways.
func RootURI(root string) (string, bool) {
	if !IsURL(root) {
		abs, err := filepath.Abs(root)
		return "file://" + delta.EncodePath(filepath.ToSlash(abs)) + "/", err == nil
	}
	plain, _, _ := strings.Cut(root, "?")
	return strings.TrimSuffix(plain, "/") + "/", strings.HasPrefix(plain, "s3://")
}

// Resolver gives the keys of absolute URIs below a root, and of no others.
func Resolver(root string) func(uri string) (string, bool) {
	base, ok := RootURI(root)
	return func(uri string) (string, bool) {
		rest, below := strings.CutPrefix(uri, base)
		key, err := url.PathUnescape(rest)
		return key, ok && below && err == nil && store.CheckKey(key) == nil
	}
}
