// Package store is the port to object storage: keys, not paths.
//
// The adapters file, mem, s3 and blob implement Store; storetest holds the conformance suite that
// each must pass. The commit primitive of the Delta log is Put with IfAbsent.
package store

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

var (
	// ErrNotFound is returned (wrapped) when a key does not exist.
	ErrNotFound = errors.New("not found")
	// ErrExists is returned (wrapped) by Put with IfAbsent when the key exists.
	ErrExists = errors.New("exists already")
)

// Object describes a stored object.
type Object struct {
	Key     string
	Size    int64     // bytes
	ModTime time.Time // of the last write
	ETag    string    // differs between contents, and in most stores between writes of the same; opaque
}

// Range is a part of an object in bytes. The zero Range is the whole object; Length 0 with an Offset means
// from there to the end. What lies beyond the end reads as nothing (no error); a negative number is an
// InvalidInput fault.
type Range struct{ Offset, Length int64 }

// PutOptions: the zero value overwrites.
type PutOptions struct {
	// IfAbsent makes the write fail with ErrExists when the key exists. It is atomic: of any number of
	// concurrent writers exactly one succeeds, and no reader ever sees a partial object.
	IfAbsent bool
}

// Store reads and writes whole objects under slash-separated keys (see CheckKey; a bad key is an
// InvalidInput fault). All methods may be called concurrently, honour ctx, and return once what they wrote
// is durable.
type Store interface {
	// Open reads an object or a part of it. ErrNotFound when it is not there.
	Open(ctx context.Context, key string, r Range) (io.ReadCloser, error)
	// Stat describes an object. ErrNotFound when it is not there.
	Stat(ctx context.Context, key string) (Object, error)
	// Put writes an object completely or not at all.
	Put(ctx context.Context, key string, body io.Reader, o PutOptions) error
	// List gives the objects whose key starts with prefix and sorts after `after` ("" for all), in ascending
	// byte order of the key. A prefix is a string, not a folder: "a/b" also lists "a/bc". A prefix with
	// nothing under it lists nothing. Iteration ends at the first error.
	List(ctx context.Context, prefix, after string) iter.Seq2[Object, error]
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, key string) error
}

// Local is implemented by stores whose objects are files on this machine, so that an engine can read
// them in place.
type Local interface {
	// Path is the file of a key, whether or not it exists.
	Path(key string) (string, error)
}

// FilePutter is implemented by stores that take a local file without copying it. After success the file at
// path is gone or shared: the caller must not write to it again. See the function PutFile.
type FilePutter interface {
	PutFile(ctx context.Context, key, path string, o PutOptions) error
}

// Sweeper is implemented by stores in which a writer that was killed leaves parts of objects, which no listing shows. See the function Sweep.
type Sweeper interface {
	// Sweep removes such parts of objects under a prefix (as in List) that were last written before a time, and tells how many. A writer
	// that is still at work on one fails, and leaves no object: the time is to be longer ago than a write may pause.
	Sweep(ctx context.Context, prefix string, before time.Time) (removed int, err error)
}
