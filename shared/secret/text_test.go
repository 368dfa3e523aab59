package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/lakestep/lakestep/shared/secret"
)

// exported and unexported hold a Text as the settings of a driver do.
type exported struct {
	Password secret.Text
	Pointer  *secret.Text
	List     []secret.Text
	Map      map[string]secret.Text
	Any      any
}

type unexported struct {
	password secret.Text
	list     []secret.Text
	nested   struct{ token secret.Text }
}

func TestTextIsNeverShown(t *testing.T) {
	text := secret.NewText("hunter2")
	x := exported{text, &text, []secret.Text{text}, map[string]secret.Text{"k": text}, text}
	u := unexported{password: text, list: []secret.Text{text}}
	u.nested.token = text
	var said []string
	for _, v := range []any{text, &text, x, &x, u, &u, []any{text, u}, errors.Join(fmt.Errorf("at %v", text))} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%10.3s"} {
			said = append(said, fmt.Sprintf(verb, v))
		}
		said = append(said, fmt.Sprint(v), encoded(t, json.Marshal, v), encoded(t, yaml.Marshal, v), logged(v))
	}
	said = append(said, encoded(t, xml.Marshal, text), logged(secret.Text{}))
	for _, s := range said {
		for _, leak := range []string{"hunter2", "68756e74657232", "68756E74657232", "hun", "104 117"} {
			if strings.Contains(s, leak) {
				t.Errorf("shown: %s", s)
			}
		}
	}
	for _, format := range []string{"%v", "%s", "%+v", "%#v"} {
		if got := fmt.Sprintf(format, text); got != "[secret]" {
			t.Errorf("%s: %s", format, got)
		}
	}
	if got := encoded(t, json.Marshal, x); strings.Count(got, `"[secret]"`) != 5 {
		t.Error(got)
	}
	if got := logged(text); strings.Count(got, "[secret]") != 2 {
		t.Error(got)
	}
}

func TestTextReveals(t *testing.T) {
	if got := secret.NewText("hunter2").Reveal(); got != "hunter2" {
		t.Error(got)
	}
	if got := (secret.Text{}).Reveal(); got != "" {
		t.Error(got)
	}
}

// The only way in is a reference: a document cannot bring a value.
func TestTextIsNotRead(t *testing.T) {
	var x exported
	err := json.Unmarshal([]byte(`{"Password": "hunter2"}`), &x)
	if err == nil || strings.Contains(err.Error(), "hunter2") || x.Password.Reveal() != "" {
		t.Error(err, x.Password.Reveal())
	}
}

func encoded(t *testing.T, marshal func(any) ([]byte, error), v any) string {
	t.Helper()
	b, err := marshal(v)
	if err != nil {
		t.Errorf("%T: %v", v, err)
	}
	return string(b)
}

// logged is v in both formats of slog.
func logged(v any) string {
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("got", "v", v)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("got", "v", v)
	return out.String()
}
