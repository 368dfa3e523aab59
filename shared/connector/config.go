package connector

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/secret"
)

// Config is what a pipeline declares of a source. Package pipeline has checked it: keys are known, values are of their kind, required ones are
// there.
type Config struct {
	Pipeline string // its name, for what a source creates elsewhere (slots, groups)
	Name     string // of the source
	At       string // file:line:column, for messages
	Settings Settings
	Streams  map[string]Settings // by name

	// Secret gives the value of a reference such as env:NAME. Values are not kept longer than a connection needs them.
	Secret func(ctx context.Context, ref string) (string, error)
	// Forget drops what is kept of a reference's value, so that Secret asks its store anew. nil: nothing is kept.
	Forget func(ref string)
}

// Credential is the value of a key of the source that is text or a reference to a secret; "" when the key is not set.
func (c Config) Credential(ctx context.Context, key string) (string, error) {
	text := c.Settings.Text(key, "")
	if !isReference(text) {
		return text, nil
	}
	if c.Secret == nil {
		return "", fault.New(fault.Internal, "read", key+" of "+c.Name, "nobody resolves references here")
	}
	return c.Secret(ctx, text)
}

// Renewed is for credentials that a server refused, by key: what is kept of them is dropped. It tells whether there are others by now, or none
// can be told for the moment: then the fault is worth another try, which reads them anew. Else they are as the pipeline's owner wants them.
func (c Config) Renewed(ctx context.Context, refused map[string]string) bool {
	for key := range refused {
		if ref := c.Settings.Text(key, ""); isReference(ref) && c.Forget != nil {
			c.Forget(ref)
		}
	}
	for key, value := range refused {
		now, err := c.Credential(ctx, key)
		if err == nil && isReference(c.Settings.Text(key, "")) && now != value || fault.KindOf(err).Retryable() {
			return true
		}
	}
	return false
}

func isReference(text string) bool {
	scheme, _, ok := strings.Cut(text, ":")
	return ok && slices.Contains([]string{secret.Env, secret.SecretsManager, secret.KeyVault}, scheme)
}

// Settings are the keys of a source or stream.
type Settings map[string]Setting

// Setting is one value. A secret is its reference.
type Setting struct {
	Text string
	List []string
	At   string // file:line:column
}

// Has tells whether a key is set.
func (s Settings) Has(key string) bool { _, ok := s[key]; return ok }

// Text is a key's text, or fallback.
func (s Settings) Text(key, fallback string) string {
	if v, ok := s[key]; ok {
		return v.Text
	}
	return fallback
}

// List is a key's list of texts.
func (s Settings) List(key string) []string { return s[key].List }

// Bool is a key's truth value, or fallback.
func (s Settings) Bool(key string, fallback bool) bool {
	if v, err := strconv.ParseBool(s[key].Text); err == nil {
		return v
	}
	return fallback
}

// Int is a key's whole number, or fallback.
func (s Settings) Int(key string, fallback int64) int64 {
	if v, err := strconv.ParseInt(s[key].Text, 10, 64); err == nil {
		return v
	}
	return fallback
}

// Duration is a key's span of time ("90s", "1h30m"), or fallback.
func (s Settings) Duration(key string, fallback time.Duration) time.Duration {
	if v, err := time.ParseDuration(s[key].Text); err == nil {
		return v
	}
	return fallback
}
