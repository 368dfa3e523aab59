package tfprovider

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// policyElements is a statement of a policy. Texts and lists of texts are both allowed in many places.
type policyElements struct {
	Sid, Effect             string
	Principal, NotPrincipal any
	Action, NotAction       texts
	Resource, NotResource   texts
	Condition               map[string]map[string]texts
}

// texts is one text, or several.
type texts []string

func (t *texts) UnmarshalJSON(b []byte) error {
	var one any
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	switch x := one.(type) {
	case string:
		*t = texts{x}
	case bool, float64: // AWS takes them in conditions
		*t = texts{fmt.Sprint(x)}
	case []any:
		for _, e := range x {
			s, is := e.(string)
			if !is {
				return fmt.Errorf("%v is no text", e)
			}
			*t = append(*t, s)
		}
		if len(*t) == 0 {
			return errors.New("an empty list")
		}
	default:
		return fmt.Errorf("%s is neither a text nor a list of texts", b)
	}
	return nil
}

// checkPolicy checks a policy's grammar. kind is identity, resource or trust.
func checkPolicy(kind, s string) error {
	var doc struct {
		Version, ID string
		Statement   json.RawMessage
	}
	if err := strict(s, &doc); err != nil {
		return err
	}
	if doc.Version != "2012-10-17" {
		return fmt.Errorf("Version is 2012-10-17 (not %q): without it AWS takes the language of 2008", doc.Version)
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(doc.Statement, &raw); err != nil {
		raw = []json.RawMessage{doc.Statement}
	}
	if len(raw) == 0 {
		return errors.New("no statements")
	}
	sids := map[string]bool{}
	for i, r := range raw {
		var st policyElements
		err := strict(string(r), &st)
		if err == nil {
			err = st.check(kind)
		}
		if err == nil && st.Sid != "" && sids[st.Sid] {
			err = errors.New("another statement has its Sid")
		}
		if err != nil {
			return fmt.Errorf("statement %d %q: %w", i, st.Sid, err)
		}
		sids[st.Sid] = true
	}
	return nil
}

func strict(s string, to any) error {
	d := json.NewDecoder(strings.NewReader(s))
	d.DisallowUnknownFields()
	return d.Decode(to)
}

var (
	sid         = regexp.MustCompile(`^[A-Za-z0-9]*$`)
	resourceARN = regexp.MustCompile(`^arn:aws(-[a-z]+)*:[a-z0-9-]+:[a-z0-9*-]*:([0-9]{12}|aws|\*)?:.+$`) // parts may be "*"
	action      = regexp.MustCompile(`^([a-z0-9-]+):([A-Za-z0-9*?]+)$`)
	operator    = regexp.MustCompile(`^(ForAllValues:|ForAnyValue:)?(String(Not)?Equals(IgnoreCase)?|String(Not)?Like|Numeric(Not)?Equals|Numeric(Less|Greater)Than(Equals)?|Date(Not)?Equals|Date(Less|Greater)Than(Equals)?|Bool|BinaryEquals|(Not)?IpAddress|Arn(Not)?(Equals|Like))(IfExists)?$|^Null$`)
	condition   = regexp.MustCompile(`^[A-Za-z0-9-]+:[A-Za-z0-9._:/${}-]+$`)
	service     = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com$`)
	person      = regexp.MustCompile(`^(\*|[0-9]{12}|arn:aws(-[a-z]+)*:(iam|sts)::[0-9]{12}:.+)$`)
)

// services are the prefixes of actions in our policies: a misspelt one would allow nothing, without a word.
var services = strings.Fields("athena budgets cloudwatch dynamodb ec2 events glue iam kms lakeformation lambda logs s3 scheduler secretsmanager sns sqs ssm states sts tag xray")

func (st policyElements) check(kind string) error {
	switch {
	case !sid.MatchString(st.Sid):
		return errors.New("a Sid is letters and digits")
	case st.Effect != "Allow" && st.Effect != "Deny":
		return fmt.Errorf("Effect is Allow or Deny, not %q", st.Effect)
	case (st.Action == nil) == (st.NotAction == nil):
		return errors.New("want Action or NotAction")
	case kind == "trust" && (st.Resource != nil || st.NotResource != nil):
		return errors.New("a trust policy has no Resource")
	case kind != "trust" && (st.Resource == nil) == (st.NotResource == nil):
		return errors.New("want Resource or NotResource")
	case kind == "identity" && (st.Principal != nil || st.NotPrincipal != nil):
		return errors.New("an identity's policy has no Principal")
	case kind != "identity" && (st.Principal == nil) == (st.NotPrincipal == nil):
		return errors.New("want Principal or NotPrincipal")
	}
	for _, a := range slices.Concat(st.Action, st.NotAction) {
		m := action.FindStringSubmatch(a)
		switch {
		case a == "*":
		case m == nil:
			return fmt.Errorf("%q is no action", a)
		case !slices.Contains(services, m[1]):
			return fmt.Errorf("unknown service in action %q", a)
		}
	}
	for _, r := range slices.Concat(st.Resource, st.NotResource) {
		if r != "*" && !resourceARN.MatchString(r) {
			return fmt.Errorf("%q is no ARN", r)
		}
	}
	for op, keys := range st.Condition {
		if !operator.MatchString(op) {
			return fmt.Errorf("unknown operator %q in Condition", op)
		}
		for key := range keys {
			if !condition.MatchString(key) {
				return fmt.Errorf("%q is no key of a condition", key)
			}
		}
	}
	for _, p := range []any{st.Principal, st.NotPrincipal} {
		if err := checkPrincipal(p); err != nil {
			return err
		}
	}
	return nil
}

func checkPrincipal(p any) error {
	switch p := p.(type) {
	case nil:
	case string:
		if p != "*" {
			return fmt.Errorf("Principal %q is neither * nor an object", p)
		}
	case object:
		for kind, names := range p {
			b, err := json.Marshal(names)
			if err != nil {
				return err
			}
			var all texts
			if err := all.UnmarshalJSON(b); err != nil {
				return fmt.Errorf("Principal %s: %w", kind, err)
			}
			like := map[string]*regexp.Regexp{"Service": service, "AWS": person, "Federated": regexp.MustCompile(`.+`)}[kind]
			if like == nil {
				return fmt.Errorf("unknown kind of principal %q", kind)
			}
			for _, n := range all {
				if !like.MatchString(n) {
					return fmt.Errorf("%q is no principal of kind %s", n, kind)
				}
			}
		}
	default:
		return fmt.Errorf("Principal %v", p)
	}
	return nil
}
