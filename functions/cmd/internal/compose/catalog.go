package compose

import (
	"context"

	"github.com/lakestep/lakestep/shared/catalog"
	"github.com/lakestep/lakestep/shared/catalog/glue"
)

// OpenCatalog opens a database of the Glue Data Catalog; {layer} in its name gives each layer one. Credentials, region and endpoint
// (AWS_ENDPOINT_URL_GLUE) come from the environment, as the AWS tools take them.
func OpenCatalog(ctx context.Context, database string, dryRun bool) (catalog.Catalog, error) {
	cfg, err := AWS(ctx, "Glue database "+database, "")
	if err != nil {
		return nil, err
	}
	return glue.New(cfg, glue.Options{Database: database, DryRun: dryRun})
}
