package compose

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/lakestep/lakestep/shared/catalog"
	"github.com/lakestep/lakestep/shared/catalog/glue"
	"github.com/lakestep/lakestep/shared/fault"
)

// OpenCatalog opens a database of the Glue Data Catalog; {layer} in its name gives each layer one. Credentials, region and endpoint
// (AWS_ENDPOINT_URL_GLUE) come from the environment, as the AWS tools take them.
func OpenCatalog(ctx context.Context, database string, dryRun bool) (catalog.Catalog, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fault.New(fault.InvalidInput, "open catalog", "Glue database "+database, "configuration of AWS: %w", err).WithHint("check ~/.aws/config and AWS_PROFILE")
	}
	return glue.New(cfg, glue.Options{Database: database, DryRun: dryRun})
}
