package store

import (
	"strings"
	"unicode/utf8"

	"github.com/lakestep/lakestep/shared/fault"
)

// TempPrefix starts the name of a file that an adapter is still writing. No key has a segment that starts
// so, and no listing shows one.
const TempPrefix = ".lakestep-tmp-"

// MaxKey is the longest key in bytes: the limit of S3, which is the smallest of the services'.
const MaxKey = 1024

// CheckKey is nil for a key that every adapter takes: valid UTF-8 of at most MaxKey bytes without NUL,
// segments divided by single slashes, none of them empty, ".", ".." or one of TempPrefix. Otherwise it is an
// InvalidInput fault.
func CheckKey(key string) error {
	if why := badKey(key); why != "" {
		return fault.New(fault.InvalidInput, "use key", quote(key), "%s", why).
			WithHint(`a key is "folder/name": segments divided by single slashes, no leading or trailing slash`)
	}
	return nil
}

// CheckPrefix is nil for a string that some key may start with: its folders follow CheckKey, what stands
// behind the last slash is free.
func CheckPrefix(prefix string) error {
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		return CheckKey(prefix[:i])
	}
	return nil
}

func badKey(key string) string {
	switch {
	case key == "":
		return "the key is empty"
	case len(key) > MaxKey:
		return "the key is longer than 1024 bytes"
	case !utf8.ValidString(key):
		return "the key is not UTF-8"
	case strings.IndexByte(key, 0) >= 0:
		return "the key holds a NUL"
	}
	for seg := range strings.SplitSeq(key, "/") {
		switch {
		case seg == "":
			return "a segment is empty"
		case seg == "." || seg == "..":
			return "a segment is . or .."
		case strings.HasPrefix(seg, TempPrefix):
			return "a segment has the name of a temporary file"
		}
	}
	return ""
}

// quote makes a key printable in a message, and shortens a very long one.
func quote(key string) string {
	if len(key) > 200 {
		key = key[:200] + "..."
	}
	return strings.ToValidUTF8(strings.ReplaceAll(key, "\x00", "\\0"), "\\?")
}

// CheckRange is an InvalidInput fault for a Range with a negative number.
func CheckRange(key string, r Range) error {
	if r.Offset < 0 || r.Length < 0 {
		return fault.New(fault.InvalidInput, "read", quote(key), "range of offset %d and length %d", r.Offset, r.Length)
	}
	return nil
}
