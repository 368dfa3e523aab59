package pipeline

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"unicode/utf8"

	"github.com/lakestep/lakestep/shared/document"
	"github.com/lakestep/lakestep/shared/fault"
)

// RootFile is the file that a pipeline begins with.
const RootFile = "pipeline.yaml"

// The limits of a bundle: what a person writes, and what a step may load in every invocation.
const (
	maxBundleBytes = 8 << 20
	maxBundleFiles = 2000
)

// Bundle is everything that a run needs to know of a pipeline, as text: it can be stored and loaded again later, when
// the files have changed.
type Bundle struct {
	Root  string            `json:"root"`           // path of pipeline.yaml in Files
	Files map[string]string `json:"files"`          // path relative to the pipeline's folder, with slashes -> text
	Vars  map[string]string `json:"vars,omitempty"` // overrides of the vars of pipeline.yaml
}

// ReadBundle reads pipeline.yaml in a folder and every file it names. Files outside the folder, also through symbolic
// links, and files larger than document.MaxSize are InvalidInput faults. A named file that is missing is not: Load tells where it is named.
func ReadBundle(dir string, vars map[string]string) (Bundle, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Bundle{}, fault.New(fault.InvalidInput, "open pipeline", dir, "%w", err).WithHint("name the folder that holds %s", RootFile)
	}
	defer root.Close()
	text, err := readText(root, RootFile)
	if err != nil {
		return Bundle{}, fault.New(fault.InvalidInput, "read pipeline", path.Join(dir, RootFile), "%w", err).WithHint("name the folder that holds %s", RootFile)
	}
	b := Bundle{Root: RootFile, Files: map[string]string{RootFile: text}, Vars: vars}
	total := len(text)
	for _, name := range namedFiles(text) {
		text, err := readText(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Bundle{}, fault.New(fault.InvalidInput, "read", path.Join(dir, name), "%w", err).
				WithHint("%s may name text files inside its own folder only", RootFile)
		}
		total += len(text)
		if total > maxBundleBytes || len(b.Files) >= maxBundleFiles {
			return Bundle{}, fault.New(fault.InvalidInput, "read pipeline", dir, "more than %d bytes or %d files", maxBundleBytes, maxBundleFiles)
		}
		b.Files[name] = text
	}
	return b, nil
}

// namedFiles lists the models and contracts that pipeline.yaml names. What cannot be read or stays not inside the folder
// is left for Load to report.
func namedFiles(text string) []string {
	node, err := document.Parse(RootFile, []byte(text))
	if err != nil {
		return nil
	}
	var names []string
	seen := map[string]bool{RootFile: true}
	for _, layer := range []Layer{Silver, Gold} {
		tables := node.Get(string(layer))
		if tables == nil {
			continue
		}
		for _, t := range tables.Members {
			for _, key := range []string{"model", "contract"} {
				n := t.Value.Get(key)
				if n != nil && n.Kind == document.String && cleanPath(n.Text) && !seen[n.Text] {
					seen[n.Text] = true
					names = append(names, n.Text)
				}
			}
		}
	}
	return names
}

// cleanPath tells whether a path stays inside the folder and is written in the one way that Bundle.Files keys it.
func cleanPath(p string) bool {
	return fs.ValidPath(p) && p != "." && !bytes.ContainsAny([]byte(p), "\\:\x00")
}

func readText(root *os.Root, name string) (string, error) {
	info, err := root.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fs.ErrNotExist // without the system call's name
	}
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("no regular file")
	}
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, document.MaxSize+1))
	if err != nil {
		return "", err
	}
	if len(data) > document.MaxSize {
		return "", errors.New("file is larger than 1 MiB")
	}
	if !utf8.Valid(data) {
		return "", errors.New("file is no UTF-8 text")
	}
	return string(data), nil
}

// Encode is the bundle as canonical JSON: equal bundles give equal bytes.
func (b Bundle) Encode() []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(b); err != nil {
		panic(err) // strings and maps of strings always encode
	}
	return buf.Bytes()
}

// DecodeBundle reads what Encode wrote.
func DecodeBundle(data []byte) (Bundle, error) {
	var b Bundle
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&b); err != nil {
		return Bundle{}, fault.New(fault.InvalidInput, "decode", "bundle", "%w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return Bundle{}, fault.New(fault.InvalidInput, "decode", "bundle", "text after the end of the JSON document")
	}
	return b, nil
}

// Digest is the SHA-256 of Encode in lower-case hex.
func (b Bundle) Digest() string {
	sum := sha256.Sum256(b.Encode())
	return hex.EncodeToString(sum[:])
}
