package secret

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/lakestep/lakestep/shared/fault"
)

// The schemes of references: where a secret is kept.
const (
	Env            = "env"
	SecretsManager = "aws-secretsmanager"
	KeyVault       = "azure-keyvault"
)

// Ref says where a secret is. It is no secret itself, and may stand in messages. Two Refs are == when they name the same.
type Ref struct {
	Scheme string // one of the constants
	Name   string // as the store of the scheme understands it
	Field  string // of a secret that is a JSON object; "": the whole value
}

// String is the text that Parse reads.
func (r Ref) String() string {
	if r.Field == "" {
		return r.secret()
	}
	return r.secret() + "#" + r.Field
}

// secret names the whole secret, of which Field is a part.
func (r Ref) secret() string { return r.Scheme + ":" + r.Name }

// form is how a scheme's references are written.
type form struct {
	name   *regexp.Regexp
	fields bool // "#field" may follow
	what   string
	hint   string
}

const (
	arn   = `arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:`
	vault = `[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]`
	// The clouds that have vaults: a token must go to no other host.
	clouds = `\.vault\.(azure\.net|azure\.cn|usgovcloudapi\.net)`
)

var forms = map[string]form{
	Env:            {regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`), false, "variable's name", "env:NAME"},
	SecretsManager: {regexp.MustCompile(`^(` + arn + `)?[A-Za-z0-9/_+=.@!-]{1,512}$`), true, "secret's name or ARN", "aws-secretsmanager:NAME or aws-secretsmanager:NAME#field"},
	KeyVault: {
		regexp.MustCompile(`^(` + vault + `|https://` + vault + clouds + `)/[A-Za-z0-9-]{1,127}$`), true, "vault with a secret's name",
		"azure-keyvault:VAULT/NAME or azure-keyvault:https://VAULT.vault.azure.net/NAME, with #field perhaps; without /secrets/ and a version",
	},
}

// Parse reads a reference. What it refuses may be a credential that somebody wrote in place of a reference: no error repeats any of it.
func Parse(text string) (Ref, error) {
	refused := func(hint, format string, args ...any) (Ref, error) {
		return Ref{}, fault.New(fault.InvalidInput, "read", "secret reference", format, args...).WithHint("%s", hint)
	}
	scheme, name, _ := strings.Cut(text, ":")
	f, known := forms[scheme]
	if !known {
		return refused("write env:NAME, aws-secretsmanager:NAME or azure-keyvault:VAULT/NAME, never the credential itself", "it names no known store (it is not shown: it may be a secret)")
	}
	r := Ref{Scheme: scheme, Name: name}
	if f.fields {
		var has bool
		if r.Name, r.Field, has = strings.Cut(name, "#"); has && r.Field == "" {
			return refused(f.hint, "no field follows the # of %s", scheme)
		}
	}
	if !f.name.MatchString(r.Name) {
		return refused(f.hint, "what follows %s: is no %s (it is not shown: it may be a secret)", scheme, f.what)
	}
	return r, nil
}

// pick gives the part of a secret's value that r names. Errors of the JSON reader quote what they read, so none is passed on.
func (r Ref) pick(value string) (string, error) {
	refused := func(hint, format string, args ...any) (string, error) {
		return "", fault.New(fault.InvalidInput, "get secret", r.String(), format, args...).WithHint("%s", hint)
	}
	if r.Field == "" {
		return value, nil
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(value), &object) != nil || object == nil {
		return refused("leave out #"+r.Field+", or keep a JSON object in the secret", "the secret is no JSON object")
	}
	raw, ok := object[r.Field]
	if !ok {
		return refused("check the field's name, also its case", "the secret has no field %q", r.Field)
	}
	switch raw[0] {
	case '{', '[', 'n':
		return refused("a field is a string, a number, true or false", "the field %q has no single value", r.Field)
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil || s == "" {
			return refused("give it a value", "the field %q is empty", r.Field)
		}
		return s, nil
	}
	return string(raw), nil // a number, digit for digit, or a boolean
}
