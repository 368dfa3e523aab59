package delta

import (
	"errors"
	"fmt"
	"strings"

	"github.com/lakestep/lakestep/shared/fault"
)

// EncodePath gives the add.path of a file whose key below the table root is rel. Partition values in rel, if
// any, are Hive-escaped by then: this is the second of the two layers (protocol, "Add File": paths are URIs).
func EncodePath(rel string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(rel); i++ {
		c := rel[i]
		// A colon in the first segment would read as a scheme; it is encoded everywhere.
		if c <= ' ' || c == 0x7f || strings.IndexByte("%\"#<>?[\\]^`{|}:", c) >= 0 {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// decodePath undoes the percent-encoding of a URI reference, once.
func decodePath(path string) (string, error) {
	if strings.IndexByte(path, '%') < 0 {
		return path, nil
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			b.WriteByte(path[i])
			continue
		}
		if i+2 >= len(path) {
			return "", fmt.Errorf("incomplete escape at the end of %q", path)
		}
		hi, lo := unhex(path[i+1]), unhex(path[i+2])
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("invalid escape %q in %q", path[i:i+3], path)
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), nil
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// hasScheme tells whether a URI reference starts with a scheme ("s3:", "file:").
func hasScheme(path string) bool {
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case i > 0 && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'):
		case i > 0 && c == ':':
			return true
		default:
			return false
		}
	}
	return false
}

func isAbsolute(path string) bool { return hasScheme(path) || strings.HasPrefix(path, "/") }

// relativePath decodes an add.path that must name a file below the table root.
func relativePath(path string) (string, error) {
	if isAbsolute(path) {
		return "", errors.New("path is absolute")
	}
	rel, err := decodePath(path)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(rel, "/") || strings.IndexByte(rel, 0) >= 0 {
		return "", errors.New("path is absolute or holds a zero byte")
	}
	for seg := range strings.SplitSeq(rel, "/") {
		if seg == "" || seg == "." || seg == ".." {
			return "", fmt.Errorf("path segment %q is not allowed", seg)
		}
	}
	return rel, nil
}

// FilePath gives the store key of a data file. The path is decoded exactly once. Paths that leave the table root, and
// absolute ones (shallow clones) that Options.Resolve does not know, are an InvalidInput fault.
func (t *Table) FilePath(a Add) (string, error) { return t.fileKey(a.Path) }

func (t *Table) fileKey(path string) (string, error) {
	if t.resolve != nil && isAbsolute(path) {
		if key, ok := t.resolve(path); ok {
			return key, nil
		}
	}
	rel, err := relativePath(path)
	if err != nil {
		return "", fault.New(fault.InvalidInput, "locate file of", t.prefix, "add.path %q: %w", path, err).
			WithHint("the table names files outside its folder (a shallow clone?) or its log is damaged; lakestep reads only files below the table root")
	}
	return t.key(rel), nil
}

// fileID is the primary key of a file in the log: the decoded path and the deletion vector's id. The ways to
// write one absolute path ("/x", "file:/x", "file:///x") count as equal. Of a plain path without a vector it is
// the path itself: logs are long. No path holds a zero byte (line.check), so ids cannot be mistaken.
func fileID(path, dvID string) string {
	if p, err := decodePath(path); err == nil && strings.IndexByte(p, 0) < 0 {
		path = p
	}
	if rest, ok := strings.CutPrefix(path, "file:/"); ok {
		path = "/" + strings.TrimLeft(rest, "/")
	}
	if dvID == "" {
		return path
	}
	return path + "\x00" + dvID
}
