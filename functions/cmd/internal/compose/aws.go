package compose

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/lakestep/lakestep/shared/fault"
)

// AWS is the configuration of AWS that the environment gives, as AWS's own tools take it; region is for one that names none, and may be "". The SDK's
// own error is not passed on: it may quote a line of the file that holds the credentials.
func AWS(ctx context.Context, what, region string) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithDefaultRegion(region))
	if err != nil {
		return cfg, fault.New(fault.InvalidInput, "read configuration of AWS for", what, "it cannot be read").WithHint("check ~/.aws/config, ~/.aws/credentials and AWS_PROFILE: aws sts get-caller-identity says more")
	}
	return cfg, nil
}
