package tfprovider

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/asl"
)

// checkText checks the texts that are more than words.
func checkText(kind string, args []string, s string) error {
	switch kind {
	case "json":
		var x any
		return json.Unmarshal([]byte(s), &x)
	case "arn":
		return checkARN(args[0], s)
	case "cidr":
		if p, err := netip.ParsePrefix(s); err != nil || p != p.Masked() {
			return fmt.Errorf("%q is no network such as 10.0.0.0/16", s)
		}
		return nil
	case "schedule":
		return checkSchedule(args, s)
	case "states_language":
		if strings.Contains(s, "${") {
			return errors.New("a placeholder ${...} is left in it")
		}
		_, err := asl.Parse("definition", []byte(s))
		return err
	case "policy":
		if s == "" {
			return nil
		}
		return checkPolicy(args[0], s)
	case "event_pattern":
		return checkPattern(s)
	case "redrive", "redrive_allow":
		if s == "" {
			return nil
		}
		return checkRedrive(kind, s)
	case "dashboard":
		return checkDashboard(s)
	}
	return fmt.Errorf("unknown kind of rule %q", kind)
}

var arn = regexp.MustCompile(`^arn:aws(-[a-z]+)*:([a-z0-9-]+):[a-z0-9-]*:([0-9]{12}|aws)?:.+$`)

func checkARN(service, s string) error {
	m := arn.FindStringSubmatch(s)
	if m == nil {
		return fmt.Errorf("%q is no ARN", s)
	}
	if service != "*" && m[2] != service {
		return fmt.Errorf("%q is no ARN of %s", s, service)
	}
	return nil
}

var (
	rate = regexp.MustCompile(`^rate\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\)$`)
	cron = regexp.MustCompile(`^cron\(([0-9A-Za-z*?/,#-]+ ){5}[0-9*/,-]+\)$`)
	at   = regexp.MustCompile(`^at\([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\)$`)
)

func checkSchedule(ways []string, s string) error {
	forms := map[string]*regexp.Regexp{"rate": rate, "cron": cron, "at": at}
	for _, way := range ways {
		if !forms[way].MatchString(s) {
			continue
		}
		// Of the day of the month and the day of the week one must be "?".
		if f := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(s, "cron("), ")")); way == "cron" && (f[2] == "?") == (f[4] == "?") {
			return fmt.Errorf("%q: one of the two kinds of days must be ?", s)
		}
		return nil
	}
	return fmt.Errorf("%q is no schedule (%s)", s, strings.Join(ways, ", "))
}

// checkPattern: a pattern is an object whose leaves are lists of texts, numbers, true, false, null or matchers.
func checkPattern(s string) error {
	var pattern object
	if err := json.Unmarshal([]byte(s), &pattern); err != nil {
		return fmt.Errorf("not a JSON object: %w", err)
	}
	for name := range pattern {
		if !slices.Contains([]string{"source", "detail-type", "detail", "account", "region", "resources", "id", "time", "version", "$or"}, name) {
			return fmt.Errorf("events have no %q", name)
		}
	}
	return patternObject(pattern)
}

func patternObject(o object) error {
	if len(o) == 0 {
		return errors.New("an empty pattern")
	}
	for name, x := range o {
		var err error
		switch x := x.(type) {
		case object:
			err = patternObject(x)
		case []any:
			err = patternList(name, x)
		default:
			err = fmt.Errorf("want a list, not %v", x)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func patternList(name string, l []any) error {
	if len(l) == 0 {
		return errors.New("an empty list matches nothing")
	}
	matchers := []string{"prefix", "suffix", "anything-but", "numeric", "exists", "cidr", "equals-ignore-case", "wildcard"}
	for _, x := range l {
		o, is := x.(object)
		switch {
		case name == "$or" && !is:
			return errors.New("want objects")
		case name == "$or":
			if err := patternObject(o); err != nil {
				return err
			}
		case is && len(o) != 1:
			return errors.New("a matcher has one key")
		case is:
			for m := range o {
				if !slices.Contains(matchers, m) {
					return fmt.Errorf("unknown matcher %q", m)
				}
			}
		}
		if _, nested := x.([]any); nested {
			return errors.New("a list in a list")
		}
	}
	return nil
}

func checkRedrive(kind, s string) error {
	var doc struct {
		DeadLetterTargetArn *string  `json:"deadLetterTargetArn"`
		MaxReceiveCount     *float64 `json:"maxReceiveCount"`
		RedrivePermission   *string  `json:"redrivePermission"`
		SourceQueueArns     []string `json:"sourceQueueArns"`
	}
	d := json.NewDecoder(strings.NewReader(s))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		return err
	}
	if kind == "redrive" {
		if doc.DeadLetterTargetArn == nil || doc.MaxReceiveCount == nil || *doc.MaxReceiveCount < 1 || *doc.MaxReceiveCount > 1000 {
			return errors.New("want deadLetterTargetArn and maxReceiveCount (1 to 1000)")
		}
		return checkARN("sqs", *doc.DeadLetterTargetArn)
	}
	if doc.RedrivePermission == nil || !slices.Contains([]string{"allowAll", "byQueue", "denyAll"}, *doc.RedrivePermission) {
		return errors.New("redrivePermission is allowAll, byQueue or denyAll")
	}
	if (*doc.RedrivePermission == "byQueue") != (len(doc.SourceQueueArns) > 0) {
		return errors.New("byQueue, and only that, names sourceQueueArns")
	}
	return nil
}

func checkDashboard(s string) error {
	var doc struct {
		Widgets []struct {
			Type          string
			Properties    object
			Width, Height int
			X, Y          int
		}
	}
	if err := json.Unmarshal([]byte(s), &doc); err != nil {
		return err
	}
	if len(doc.Widgets) == 0 {
		return errors.New("no widgets")
	}
	for i, w := range doc.Widgets {
		if !slices.Contains([]string{"metric", "text", "log", "alarm", "explorer"}, w.Type) || w.Properties == nil {
			return fmt.Errorf("widget %d: want a known type and properties", i)
		}
		if w.X < 0 || w.Width < 0 || w.X+w.Width > 24 {
			return fmt.Errorf("widget %d: the grid is 24 wide", i)
		}
		switch {
		case w.Type == "metric" && (w.Properties["region"] == nil || w.Properties["metrics"] == nil && w.Properties["annotations"] == nil):
			return fmt.Errorf("widget %d: a metric widget has region and metrics", i)
		case w.Type == "text" && w.Properties["markdown"] == nil:
			return fmt.Errorf("widget %d: a text widget has markdown", i)
		case w.Type == "log" && (w.Properties["query"] == nil || w.Properties["region"] == nil):
			return fmt.Errorf("widget %d: a log widget has query and region", i)
		}
	}
	return nil
}
