package snowflake

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"os"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// loggedIn reads something with these settings in place of the usual ones, and gives what was sent to log in.
func loggedIn(t *testing.T, o *origin, change func(connector.Settings)) map[string]any {
	t.Helper()
	o.sql(t, "CREATE OR REPLACE TABLE ORDERS (ID INTEGER)")
	o.sql(t, "INSERT INTO ORDERS VALUES (1), (2)")
	cfg := o.config(map[string]connector.Settings{"s": options(fullStream...)})
	change(cfg.Settings)
	s := open(t, cfg)
	page, err := s.Next(t.Context(), request(t))
	if err != nil {
		t.Fatal(err, fault.HintOf(err))
	}
	if n := len(rowsOf(t, page)); n != 2 {
		t.Errorf("%d rows", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.logins) != 1 || o.sessions != 1 {
		t.Errorf("%d sessions were opened, %d closed", len(o.logins), o.sessions)
	}
	return o.logins[0]
}

func TestPassword(t *testing.T) {
	o := newOrigin(t)
	in := loggedIn(t, o, func(s connector.Settings) { s["statement_timeout"] = connector.Setting{Text: "90500ms"} })
	if in["LOGIN_NAME"] != "loader" || in["PASSWORD"] != "hunter2-very-secret" || in["ACCOUNT_NAME"] != "acme-eu" {
		t.Errorf("%v", in)
	}
	params := in["SESSION_PARAMETERS"].(map[string]any)
	for key, want := range map[string]string{"STATEMENT_TIMEOUT_IN_SECONDS": "91", "TIMEZONE": "UTC", "ROWS_PER_RESULTSET": "0", "QUOTED_IDENTIFIERS_IGNORE_CASE": "false", "TIMESTAMP_INPUT_FORMAT": "AUTO"} {
		if fmt.Sprint(params[key]) != want {
			t.Errorf("%s is %v, want %s", key, params[key], want)
		}
	}
	for _, tag := range o.tags {
		if tag != "lakestep/shop/s" {
			t.Errorf("QUERY_TAG %s", tag)
		}
	}
}

func TestQueryTag(t *testing.T) {
	o := newOrigin(t)
	loggedIn(t, o, func(s connector.Settings) { s["query_tag"] = connector.Setting{Text: "nightly"} })
	if !slices.Contains(o.tags, "nightly") || slices.Contains(o.tags, "lakestep/shop/s") {
		t.Errorf("tags %q", o.tags)
	}
}

func TestOAuth(t *testing.T) {
	in := loggedIn(t, newOrigin(t), func(s connector.Settings) {
		s["authenticator"], s["token"] = connector.Setting{Text: "oauth"}, connector.Setting{Text: "env:SNOWFLAKE_TOKEN"}
		delete(s, "username")
		delete(s, "password")
	})
	if in["AUTHENTICATOR"] != "OAUTH" || in["TOKEN"] != "oauth-token-very-secret" || in["PASSWORD"] != nil {
		t.Errorf("%v", in)
	}
}

// The token of a key pair is signed by the key, names account, user and the key's fingerprint, and is good for a minute.
func TestKeyPair(t *testing.T) {
	key, text := newKey(t)
	for _, tt := range []struct{ text, passphrase string }{{text, ""}, {strings.ReplaceAll(text, "\n", `\n`), ""}, {encrypted(t, text, "-v2", "aes-256-cbc"), "open sesame"}} {
		secrets["env:TEST_KEY"], secrets["env:TEST_PASSPHRASE"] = tt.text, tt.passphrase
		in := loggedIn(t, newOrigin(t), func(s connector.Settings) {
			s["authenticator"], s["private_key"] = connector.Setting{Text: "key_pair"}, connector.Setting{Text: "env:TEST_KEY"}
			s["username"], s["account"] = connector.Setting{Text: "loader"}, connector.Setting{Text: "acme-eu.eu-central-1"}
			delete(s, "password")
			if tt.passphrase != "" {
				s["private_key_passphrase"] = connector.Setting{Text: "env:TEST_PASSPHRASE"}
			}
		})
		if in["AUTHENTICATOR"] != "SNOWFLAKE_JWT" || in["PASSWORD"] != nil {
			t.Errorf("%v", in)
		}
		verify(t, in["TOKEN"].(string), key)
	}
}

func verify(t *testing.T, token string, key *rsa.PrivateKey) {
	t.Helper()
	parts := strings.Split(token, ".")
	var decoded [3][]byte
	for i := range decoded {
		var err error
		if decoded[i], err = base64.RawURLEncoding.DecodeString(parts[i]); err != nil {
			t.Fatal(err)
		}
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], decoded[2]); err != nil {
		t.Error(err)
	}
	var header struct{ Alg string }
	var claims struct {
		Iss, Sub string
		Iat, Exp int64
	}
	if json.Unmarshal(decoded[0], &header) != nil || json.Unmarshal(decoded[1], &claims) != nil || header.Alg != "RS256" {
		t.Errorf("%s %s", decoded[0], decoded[1])
	}
	public, _ := x509.MarshalPKIXPublicKey(&key.PublicKey)
	sum := sha256.Sum256(public)
	if want := "ACME-EU.LOADER.SHA256:" + base64.StdEncoding.EncodeToString(sum[:]); claims.Iss != want || claims.Sub != "ACME-EU.LOADER" {
		t.Errorf("%s, want the issuer %s", decoded[1], want)
	}
	if now := time.Now().Unix(); claims.Iat > now || claims.Iat < now-60 || claims.Exp-claims.Iat > 60 {
		t.Errorf("%s at %d", decoded[1], now)
	}
}

func newKey(t testing.TB) (*rsa.PrivateKey, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// encrypted is a key that openssl has put a passphrase on.
func encrypted(t testing.TB, key string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("SKIPPED: no openssl to encrypt keys with")
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("openssl", append([]string{"pkcs8", "-topk8", "-in", path, "-passout", "pass:open sesame"}, args...)...).Output()
	if err != nil {
		t.Fatalf("openssl %q: %v", args, err)
	}
	return string(out)
}

// Keys in each of the forms that openssl makes.
func TestKeys(t *testing.T) {
	key, text := newKey(t)
	pkcs1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	for name, pem := range map[string]string{
		"plain": text, "pkcs1": pkcs1,
		"aes256":        encrypted(t, text, "-v2", "aes-256-cbc"),
		"aes192":        encrypted(t, text, "-v2", "aes-192-cbc"),
		"aes128, sha1":  encrypted(t, text, "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1"),
		"des3":          encrypted(t, text, "-v2", "des3"),
		"sha512, often": encrypted(t, text, "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512", "-iter", "20000"),
	} {
		got, err := parseKey(pem, "open sesame")
		if err != nil || !got.Equal(key) {
			t.Errorf("%s: %v", name, err)
		}
	}
	locked := encrypted(t, text, "-v2", "aes-256-cbc")
	for name, c := range map[string]struct{ pem, passphrase, says string }{
		"wrong passphrase": {locked, "sesame", "does not open it"},
		"no passphrase":    {locked, "", "no private_key_passphrase"},
		"no PEM":           {"hunter2-very-secret", "", "no PEM"},
		"no key":           {strings.ReplaceAll(text, "PRIVATE KEY", "CERTIFICATE"), "", "another kind"},
		"another cipher":   {encrypted(t, text, "-v1", "PBE-SHA1-3DES"), "open sesame", "not PBES2"},
		"scrypt":           {encrypted(t, text, "-scrypt"), "open sesame", "not PBKDF2"},
		"cut":              {"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n", "x", "cannot be read"},
	} {
		_, err := parseKey(c.pem, c.passphrase)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key that cannot be read is told with where it is kept, and nothing of it.
func TestKeyThatCannotBeRead(t *testing.T) {
	secrets["env:BAD_KEY"] = "no-pem-very-secret"
	cfg := configFor("http://127.0.0.1:1", "SHOP", map[string]connector.Settings{"s": options(fullStream...)})
	cfg.Settings["authenticator"], cfg.Settings["private_key"] = connector.Setting{Text: "key_pair"}, connector.Setting{Text: "env:BAD_KEY"}
	_, err := open(t, cfg).Next(context.Background(), request(t))
	refusedWith(t, err, fault.InvalidInput, "env:BAD_KEY", "openssl")
	if strings.Contains(err.Error(), "very-secret") {
		t.Error(err)
	}
}
