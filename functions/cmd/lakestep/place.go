package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/shared/fault"
)

// place is where a lake is: a folder, or a URL of object storage.
type place struct {
	Name  string // as it was given
	Local string // folder of this machine's part: journals, the lock of runs, the engine's files. Of a folder the folder itself
}

// placeOf gives the place of a name. The local part of a URL is under the user's cache folder: who deletes it can no longer resume a run.
func placeOf(name string) (place, error) {
	if !compose.IsURL(name) {
		return place{name, name}, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return place{}, fault.New(fault.InvalidInput, "open lake", compose.Displayed(name), "folder for journals: %w", err).WithHint("set XDG_CACHE_HOME or HOME")
	}
	plain := compose.Displayed(name)
	readable := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, plain), "-")
	sum := sha256.Sum256([]byte(plain))
	return place{name, filepath.Join(cache, "lakestep", fmt.Sprintf("%.60s-%x", readable, sum[:6]))}, nil
}

// exists tells whether something is there. A store would make the folder.
func (p place) exists(ctx context.Context) (bool, error) {
	if !compose.IsURL(p.Name) {
		_, err := os.Stat(p.Name)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, fault.New(fault.InvalidInput, "open", p.Name, "%w", err)
		}
		return true, nil
	}
	s, err := compose.OpenStore(ctx, p.Name)
	if err != nil {
		return false, err
	}
	for _, err := range s.List(ctx, "", "") {
		return err == nil, err
	}
	return false, nil
}
