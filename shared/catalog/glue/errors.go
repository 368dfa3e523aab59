package glue

import (
	"context"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/awsapi"
	"github.com/lakestep/lakestep/shared/fault"
)

// Answers of Glue that are part of its use.
const (
	codeNotFound   = "EntityNotFoundException"
	codeExists     = "AlreadyExistsException"
	codeConcurrent = "ConcurrentModificationException"
)

// busyCodes are answers of status 400 after which the same request may succeed. The SDK does not know them as such.
var busyCodes = []string{"OperationTimeoutException", "ResourceNotReadyException", "FederationSourceRetryableException"}

// call is a request as messages name it.
type call struct {
	op, object string // "register silver.orders"
	action     string // of IAM: "glue:GetTable"
	entry      string
}

// request makes one request, within its time.
func (c *Catalog) request(ctx context.Context, k call, do func(context.Context) error) error {
	return c.service.Do(ctx, k.request(), do)
}

// change makes a request that another writer may forestall, which is what these codes say.
func (c *Catalog) change(ctx context.Context, k call, do func(context.Context) error, forestalled ...string) error {
	var lost *lostRace
	err := c.request(ctx, k, func(ctx context.Context) error {
		err := do(ctx)
		if code := awsapi.AnswerOf(err).Code; slices.Contains(forestalled, code) {
			lost = &lostRace{code}
			return nil
		}
		return err
	})
	if lost != nil {
		return lost
	}
	return err
}

func refused(kind fault.Kind, op, object, format string, args ...any) *fault.Fault {
	return fault.New(kind, op, object+" in Glue", format, args...)
}

// lakeFormation are the permissions that Lake Formation wants besides those of IAM where it governs a database.
var lakeFormation = map[string]string{
	"glue:GetDatabase": "DESCRIBE on the database", "glue:GetTable": "DESCRIBE on the table", "glue:GetTables": "DESCRIBE on the tables",
	"glue:CreateTable": "CREATE_TABLE on the database and DATA_LOCATION_ACCESS on the lake's bucket", "glue:UpdateTable": "ALTER on the table", "glue:DeleteTable": "DROP on the table",
}

// request is what errors say of a call. The messages of these codes name the caller, the entry and the key, and nothing else.
func (k call) request() awsapi.Request {
	const refuses = "Glue refuses what the table is like, see the message: a name of a column, perhaps, that it does not take"
	database, _, _ := strings.Cut(k.entry, ".")
	again := awsapi.Meaning{Kind: fault.Unavailable, Hint: "the same call may be repeated"}
	codes := map[string]awsapi.Meaning{
		codeNotFound: { // where an entry may be absent it was dealt with
			Text: "there is no database " + database,
			Hint: "check name, region and account; aws glue create-database --database-input Name=" + database + " makes one",
		},
		"GlueEncryptionException":              {Hint: "the catalog is encrypted: allow kms:Decrypt and kms:GenerateDataKey on its key to the role that lakestep runs as"},
		"ResourceNumberLimitExceededException": {Hint: "a quota of Glue is used up; ask for more in Service Quotas, or remove old tables or table versions"},
		"InvalidInputException":                {Hint: refuses},
		"ValidationException":                  {Hint: refuses},
		codeConcurrent:                         again,
	}
	for _, code := range busyCodes {
		codes[code] = again
	}
	return awsapi.Request{
		Op: k.op, Object: k.object + " in Glue", Action: k.action, Codes: codes,
		Denied: "allow " + k.action + " on the catalog, the database and its tables to the role that lakestep runs as; where Lake Formation governs them, grant it " + lakeFormation[k.action],
	}
}
