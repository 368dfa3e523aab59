package compose

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/blob"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/shared/store/s3"
)

// IsURL tells whether a name is a URL, not a folder.
func IsURL(name string) bool { return strings.Contains(name, "://") }

// Displayed is a name for messages: a URL of Azure without its query, which may be a signature.
func Displayed(name string) string {
	if IsURL(name) && !strings.HasPrefix(name, "s3://") {
		name, _, _ = strings.Cut(name, "?")
	}
	return name
}

const storeURLs = "a folder, s3://BUCKET/PATH, az://ACCOUNT/CONTAINER/PATH, or https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH"

// OpenStore opens a folder or a URL of object storage; a folder that is not there is made. Credentials come from the environment, as the
// services' own tools take them.
//
//	s3://BUCKET/PATH?endpoint=URL   Amazon S3, or another service at AWS_ENDPOINT_URL or endpoint; ?kms=KEY encrypts by a key
//	az://ACCOUNT/CONTAINER/PATH     Azure Blob; with AZURE_STORAGE_CONNECTION_STRING by what it says
//	https://HOST/CONTAINER/PATH     the same by its address, perhaps with a signature (SAS) behind it
func OpenStore(ctx context.Context, name string) (store.Store, error) {
	if !IsURL(name) {
		return file.New(name)
	}
	u, err := url.Parse(name)
	if err != nil || u.User != nil {
		return nil, fault.New(fault.InvalidInput, "open store", Displayed(name), "it is no URL, or holds a password").WithHint("give %s", storeURLs)
	}
	path := strings.Trim(u.Path, "/")
	switch u.Scheme {
	case "s3":
		return openS3(ctx, u, path)
	case "az":
		return openAzure(u, path, "https://"+u.Host+".blob.core.windows.net")
	case "https":
		return openAzure(u, path, "https://"+u.Host)
	}
	return nil, fault.New(fault.InvalidInput, "open store", Displayed(name), "there is no store for %s://", u.Scheme).WithHint("give %s", storeURLs)
}

func openS3(ctx context.Context, u *url.URL, path string) (store.Store, error) {
	cfg, err := AWS(ctx, Displayed(u.String()), "")
	if err != nil {
		return nil, err
	}
	o := s3.Options{Bucket: u.Host}
	for key, values := range u.Query() {
		switch key {
		case "endpoint":
			cfg.BaseEndpoint = &values[0]
		case "kms":
			o.KMSKey = values[0]
		default:
			return nil, fault.New(fault.InvalidInput, "open store", Displayed(u.String()), "there is no option %s", key).WithHint("options: endpoint, kms")
		}
	}
	if cfg.BaseEndpoint != nil || os.Getenv("AWS_ENDPOINT_URL_S3") != "" { // a service other than S3: most know no buckets in host names, and no regions
		o.PathStyle = true
		if cfg.Region == "" {
			cfg.Region = "us-east-1"
		}
	}
	s, err := s3.New(ctx, cfg, o)
	if err != nil {
		return nil, err
	}
	return store.Sub(s, path), nil
}

// openAzure opens a container of the account at service, or of the one in the connection string.
func openAzure(u *url.URL, path, service string) (store.Store, error) {
	name, below, _ := strings.Cut(path, "/")
	if u.Host == "" || name == "" {
		return nil, fault.New(fault.InvalidInput, "open store", Displayed(u.String()), "it names no container").WithHint("give %s", storeURLs)
	}
	c, err := azureContainer(u, name, service)
	if err != nil {
		return nil, fault.New(fault.InvalidInput, "open store", Displayed(u.String()), "%w", err).
			WithHint("sign in (az login), or set AZURE_STORAGE_CONNECTION_STRING or AZURE_CLIENT_ID and what belongs to it")
	}
	return store.Sub(blob.New(c), below), nil
}

func azureContainer(u *url.URL, name, service string) (*container.Client, error) {
	if u.RawQuery != "" {
		return container.NewClientWithNoCredential(service+"/"+name+"?"+u.RawQuery, nil)
	}
	if connection := os.Getenv("AZURE_STORAGE_CONNECTION_STRING"); connection != "" {
		c, err := container.NewClientFromConnectionString(connection, name, nil)
		if err != nil {
			return nil, errors.New("AZURE_STORAGE_CONNECTION_STRING is no connection string") // its own error may quote it
		}
		if !strings.Contains(connection, "AccountName="+u.Host+";") && u.Scheme == "az" {
			return nil, fmt.Errorf("AZURE_STORAGE_CONNECTION_STRING is of another account than %s", u.Host)
		}
		return c, nil
	}
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, err
	}
	return container.NewClient(service+"/"+name, credential, nil)
}
