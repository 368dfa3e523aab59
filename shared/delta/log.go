package delta

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/lakestep/lakestep/shared/store"
)

// logFile is a commit in a listing of the log.
type logFile struct {
	version int64
	size    int64 // bytes
	modTime time.Time
}

// checkpoint is a complete checkpoint in a listing: one object, or all parts in order.
type checkpoint struct {
	version int64
	keys    []string
	sizes   []int64
	modTime time.Time
}

// listing is what `_delta_log` holds: commits ascending by version, checkpoints ascending by version.
type listing struct {
	commits     []logFile
	checkpoints []checkpoint
}

var (
	commitPattern     = regexp.MustCompile(`^(\d{20})\.json$`)
	checkpointPattern = regexp.MustCompile(`^(\d{20})\.checkpoint(?:\.(\d{10})\.(\d{10})|\.([0-9A-Za-z-]{30,40}))?\.(parquet|json)$`)
)

// list reads the log folder from a version on. Everything that is no commit and no complete checkpoint is
// left out: checksums, compactions, temporary and staged files.
func (t *Table) list(ctx context.Context, from int64) (listing, error) {
	var l listing
	folder := t.logKey("")
	parts := map[[2]int64][]checkpoint{} // by version and number of parts
	after := folder + strings.TrimSuffix(commitName(from), ".json")
	for obj, err := range t.store.List(ctx, folder, after) {
		if err != nil {
			return listing{}, err
		}
		name := strings.TrimPrefix(obj.Key, folder)
		if name > ":" { // past the digits: folders and hints, never commits
			break
		}
		if m := commitPattern.FindStringSubmatch(name); m != nil {
			if v, err := strconv.ParseInt(m[1], 10, 64); err == nil {
				l.commits = append(l.commits, logFile{v, obj.Size, obj.ModTime})
			}
			continue
		}
		m := checkpointPattern.FindStringSubmatch(name)
		if m == nil || (m[5] == "json" && m[4] == "") {
			continue
		}
		v, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			continue
		}
		cp := checkpoint{version: v, keys: []string{obj.Key}, sizes: []int64{obj.Size}, modTime: obj.ModTime}
		if m[2] == "" {
			l.checkpoints = append(l.checkpoints, cp)
			continue
		}
		part, _ := strconv.ParseInt(m[2], 10, 64)
		of, _ := strconv.ParseInt(m[3], 10, 64)
		id := [2]int64{v, of}
		if part == int64(len(parts[id]))+1 { // keys come sorted, so parts come in order
			parts[id] = append(parts[id], cp)
		}
	}
	for id, set := range parts {
		if int64(len(set)) != id[1] {
			continue // incomplete: as if it were not there
		}
		whole := set[0]
		for _, p := range set[1:] {
			whole.keys = append(whole.keys, p.keys...)
			whole.sizes = append(whole.sizes, p.sizes...)
		}
		l.checkpoints = append(l.checkpoints, whole)
	}
	sort.SliceStable(l.checkpoints, func(i, j int) bool {
		a, b := l.checkpoints[i], l.checkpoints[j]
		if a.version != b.version {
			return a.version < b.version
		}
		return a.keys[0] < b.keys[0]
	})
	return l, nil
}

// latest is the newest version in the listing, -1 when there is none.
func (l listing) latest() int64 {
	v := int64(-1)
	if n := len(l.commits); n > 0 {
		v = l.commits[n-1].version
	}
	if n := len(l.checkpoints); n > 0 {
		v = max(v, l.checkpoints[n-1].version)
	}
	return v
}

// commit finds a commit of the listing.
func (l listing) commit(version int64) (logFile, bool) {
	i, ok := slices.BinarySearchFunc(l.commits, version, func(f logFile, v int64) int {
		return int(min(max(f.version-v, -1), 1))
	})
	if !ok {
		return logFile{}, false
	}
	return l.commits[i], true
}

// missing gives the first version of from..to that is not among the commits.
func (l listing) missing(from, to int64) (int64, bool) {
	for v := from; v <= to; v++ {
		if _, ok := l.commit(v); !ok {
			return v, true
		}
	}
	return 0, false
}

// hint is the content of _last_checkpoint. Readers believe nothing of it but where to start listing.
type hint struct {
	Version       int64  `json:"version"`
	Size          int64  `json:"size"` // actions in the checkpoint
	Parts         *int64 `json:"parts,omitempty"`
	SizeInBytes   int64  `json:"sizeInBytes,omitempty"`
	NumOfAddFiles int64  `json:"numOfAddFiles,omitempty"`
}

const hintName = "_last_checkpoint"

// readHint gives the hint, or ok=false when there is none that can be used. Only a failing store is an error.
func (t *Table) readHint(ctx context.Context) (h hint, ok bool, err error) {
	r, err := t.store.Open(ctx, t.logKey(hintName), store.Range{})
	if errors.Is(err, store.ErrNotFound) {
		return hint{}, false, nil
	}
	if err != nil {
		return hint{}, false, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, 16<<20)) // checkpointSchema may be long
	if err != nil {
		return hint{}, false, err
	}
	if json.Unmarshal(text, &h) != nil || h.Version < 0 {
		return hint{}, false, nil
	}
	return h, true, nil
}
