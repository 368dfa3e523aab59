package glue_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/lakestep/lakestep/shared/awsapi/awsapitest"
	"github.com/lakestep/lakestep/shared/catalog"
	"github.com/lakestep/lakestep/shared/catalog/glue"
	"github.com/lakestep/lakestep/shared/fault"
)

func open(t *testing.T, s *awsapitest.Service) *glue.Catalog {
	t.Helper()
	c, err := glue.New(s.Config(), glue.Options{Database: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type answer = awsapitest.Answer

var (
	absent = awsapitest.Problem(400, "EntityNotFoundException", "Entity Not Found")
	done   = answer{Status: 200, Body: "{}"}
)

// entryOf is an entry as Glue gives it.
func entryOf(t catalog.Table, change func(parameters map[string]string)) answer {
	parameters := map[string]string{"lakestep.table": t.Name, "lakestep.lake": t.Lake, "lakestep.pipeline": t.Pipeline, "lakestep.id": t.ID, "lakestep.version": "1"}
	if change != nil {
		change(parameters)
	}
	raw, err := json.Marshal(map[string]any{"Table": map[string]any{"Name": "silver_orders", "DatabaseName": "shop", "VersionId": "7", "Parameters": parameters}})
	if err != nil {
		panic(err)
	}
	return answer{Status: 200, Body: string(raw)}
}

// adapter registers a table, with a change by this operation.
func adapter(op string) awsapitest.Adapter {
	before := map[string][]answer{"GetTable": {absent}}
	if op == "UpdateTable" {
		before["GetTable"] = []answer{entryOf(orders(), nil)}
	}
	return awsapitest.Adapter{
		Object: "register silver.orders in Glue", Op: op, Action: "glue:" + op, Endpoint: "glue", Attempts: 5, Timeout: 30 * time.Second, Before: before, Good: "{}",
		Call: func(ctx context.Context, cfg aws.Config) error {
			c, err := glue.New(cfg, glue.Options{Database: "shop"})
			if err != nil {
				return err
			}
			_, err = c.Register(ctx, orders())
			return err
		},
	}
}

func TestErrors(t *testing.T) {
	get := adapter("GetTable")
	get.Good = entryOf(orders(), func(p map[string]string) { p["lakestep.version"] = "99" }).Body // nothing to do
	for _, a := range []awsapitest.Adapter{get, adapter("CreateTable"), adapter("UpdateTable")} {
		t.Run(a.Op, func(t *testing.T) { awsapitest.Run(t, a) })
	}
}

// What Glue alone answers.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		op     string
		answer answer
		kind   fault.Kind
		says   string
		hint   string
		times  int
	}{
		{"CreateTable", awsapitest.Problem(400, "AccessDeniedException", "Insufficient Lake Formation permission(s): Required Create Table on shop"),
			fault.InvalidInput, "Required Create Table", "CREATE_TABLE", 1},
		{"UpdateTable", awsapitest.Problem(400, "AccessDeniedException", "m"), fault.InvalidInput, "glue:UpdateTable", "ALTER", 1},
		{"CreateTable", absent, fault.InvalidInput, "no database shop", "create-database", 1},
		{"CreateTable", awsapitest.Problem(400, "InvalidInputException", "1 validation error: columns.3.name"), fault.InvalidInput, "columns.3.name", "column", 1},
		{"GetTable", awsapitest.Problem(400, "GlueEncryptionException", "m"), fault.InvalidInput, "GlueEncryptionException", "kms:Decrypt", 1},
		{"CreateTable", awsapitest.Problem(400, "ResourceNumberLimitExceededException", "Number of tables"), fault.InvalidInput, "Number of tables", "Service Quotas", 1},
		{"CreateTable", awsapitest.Problem(400, "OperationTimeoutException", "m"), fault.Unavailable, "OperationTimeoutException", "repeated", 5},
		{"UpdateTable", awsapitest.Problem(400, "ResourceNotReadyException", "m"), fault.Unavailable, "ResourceNotReadyException", "repeated", 5},
		{"GetTable", awsapitest.Problem(400, "ConcurrentModificationException", "m"), fault.Unavailable, "ConcurrentModificationException", "repeated", 1},
		{"GetTable", answer{Status: 200, Body: `{"Table": "hunter2`}, fault.Unavailable, "cannot be read", "proxy", 1},
	} {
		adapter(tt.op).Refuse(t, awsapitest.Refusal{Answer: tt.answer, Kind: tt.kind, Says: tt.says, Hint: tt.hint, Times: tt.times})
	}
}

// What goes away by itself is waited for.
func TestRepeats(t *testing.T) {
	for _, op := range []string{"GetTable", "CreateTable"} {
		synctest.Test(t, func(t *testing.T) {
			f := &awsapitest.Service{Answers: map[string][]answer{"GetTable": {absent}, "CreateTable": {done}}}
			f.Answers[op] = slices.Concat([]answer{awsapitest.Problem(400, "ThrottlingException", "Rate exceeded"), awsapitest.Problem(500, "InternalServiceException", "m"),
				awsapitest.Problem(400, "OperationTimeoutException", "m")}, f.Answers[op])
			got, err := open(t, f).Register(t.Context(), orders())
			if err != nil || got.Action != catalog.Created || f.Count(op) != 4 {
				t.Errorf("%+v %v: %v", got, err, f.Ops())
			}
		})
	}
}

// Others change the entry between the look and the change: it is looked at again.
func TestLostRaces(t *testing.T) {
	ours := entryOf(orders(), nil)
	concurrent := awsapitest.Problem(400, "ConcurrentModificationException", "Update table failed due to concurrent modifications.")
	for name, tt := range map[string]struct {
		answers map[string][]answer
		want    catalog.Action
		ops     []string
	}{
		"another was first with the table": {
			map[string][]answer{"GetTable": {absent, ours}, "CreateTable": {awsapitest.Problem(400, "AlreadyExistsException", "Table already exists.")}, "UpdateTable": {done}},
			catalog.Updated, []string{"GetTable", "CreateTable", "GetTable", "UpdateTable"}},
		"another registers a newer version meanwhile": {
			map[string][]answer{"GetTable": {ours, entryOf(orders(), func(p map[string]string) { p["lakestep.version"] = "99" })}, "UpdateTable": {concurrent}},
			catalog.Unchanged, []string{"GetTable", "UpdateTable", "GetTable"}},
		"it was removed meanwhile": {
			map[string][]answer{"GetTable": {ours, absent}, "UpdateTable": {absent}, "CreateTable": {done}},
			catalog.Created, []string{"GetTable", "UpdateTable", "GetTable", "CreateTable"}},
		"twice": {
			map[string][]answer{"GetTable": {ours}, "UpdateTable": {concurrent, concurrent, done}},
			catalog.Updated, []string{"GetTable", "UpdateTable", "GetTable", "UpdateTable", "GetTable", "UpdateTable"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &awsapitest.Service{Answers: tt.answers}
			got, err := open(t, f).Register(t.Context(), orders())
			if err != nil || got.Action != tt.want || !slices.Equal(f.Ops(), tt.ops) {
				t.Errorf("%s: %+v %v %v", name, got, err, f.Ops())
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := &awsapitest.Service{Answers: map[string][]answer{"GetTable": {ours}, "UpdateTable": {concurrent}}}
		_, err := open(t, f).Register(t.Context(), orders())
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "10 times") || !strings.Contains(fault.HintOf(err), "crawler") || f.Count("UpdateTable") != 10 {
			t.Errorf("%v, hint %q, %d updates", err, fault.HintOf(err), f.Count("UpdateTable"))
		}
	})
	// A foreign table that came meanwhile is not overwritten.
	synctest.Test(t, func(t *testing.T) {
		f := &awsapitest.Service{Answers: map[string][]answer{"GetTable": {absent, entryOf(orders(), func(p map[string]string) { clear(p) })}, "CreateTable": {awsapitest.Problem(400, "AlreadyExistsException", "m")}}}
		if _, err := open(t, f).Register(t.Context(), orders()); fault.KindOf(err) != fault.InvalidInput {
			t.Error(err)
		}
	})
}

// The wait between two looks is over with the caller's context.
func TestEndOfTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := &awsapitest.Service{Answers: map[string][]answer{"GetTable": {entryOf(orders(), nil)}, "UpdateTable": {awsapitest.Problem(400, "ConcurrentModificationException", "m")}}}
		f.Answers["UpdateTable"][0].Then = cancel
		_, err := open(t, f).Register(ctx, orders())
		if fault.KindOf(err) != fault.Unavailable || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "register silver.orders in Glue") || len(f.Requests) != 2 {
			t.Error(err, f.Ops())
		}
	})
}

// Listings come in pages. What goes while they are read, or by our own request whose answer was lost, is gone.
func TestPruneInPages(t *testing.T) {
	page := func(next string, names ...string) answer {
		var list []map[string]any
		for _, n := range names {
			list = append(list, map[string]any{"Name": n, "Parameters": map[string]string{"lakestep.table": "gold." + n, "lakestep.pipeline": "shop", "lakestep.lake": "s3://bucket/lake"}})
		}
		raw, err := json.Marshal(map[string]any{"TableList": list, "NextToken": next})
		if err != nil {
			t.Fatal(err)
		}
		return answer{Status: 200, Body: string(raw)}
	}
	synctest.Test(t, func(t *testing.T) {
		f := &awsapitest.Service{Answers: map[string][]answer{
			"GetTables":   {page("two", "a", "b"), awsapitest.Problem(400, "ThrottlingException", "m"), page("three"), page("", "c")},
			"DeleteTable": {done, absent, awsapitest.Problem(500, "InternalServiceException", "m"), done},
		}}
		got, err := open(t, f).Prune(t.Context(), catalog.Declared{Pipeline: "shop", Lake: "s3://bucket/lake", Tables: []string{"gold.x"}})
		if err != nil || len(got) != 3 || got[2].Entry != "shop.c" || f.Count("GetTables") != 4 || f.Count("DeleteTable") != 4 {
			t.Errorf("%+v %v %v", got, err, f.Ops())
		}
		f = &awsapitest.Service{Answers: map[string][]answer{"GetTables": {page("", "a")}, "DeleteTable": {awsapitest.Problem(400, "AccessDeniedException", "m")}}}
		_, err = open(t, f).Prune(t.Context(), catalog.Declared{Pipeline: "shop", Lake: "s3://bucket/lake"})
		if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(fault.HintOf(err), "glue:DeleteTable") || !strings.Contains(fault.HintOf(err), "DROP") {
			t.Errorf("%v, hint %q", err, fault.HintOf(err))
		}
	})
}
