// Package env takes secrets from environment variables.
package env

import (
	"context"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/secret"
)

var _ secret.Store = (*Store)(nil)

// Store is a secret.Store of environment variables.
type Store struct {
	lookup func(name string) (string, bool)
}

// New makes a Store over a function such as os.LookupEnv, which only a main may hand out.
func New(lookup func(name string) (string, bool)) *Store { return &Store{lookup: lookup} }

// Get implements secret.Store.
func (s *Store) Get(_ context.Context, name string) (string, error) {
	value, ok := s.lookup(name)
	if !ok || value == "" {
		return "", fault.New(fault.InvalidInput, "get secret", secret.Env+":"+name, "the environment variable is not set").
			WithHint("set %s where lakestep runs", name)
	}
	return value, nil
}
