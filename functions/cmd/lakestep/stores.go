package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/blob"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/shared/store/s3"
)

// place is where a lake is: a folder, or a URL of object storage.
type place struct {
	Name  string // as it was given
	Local string // folder of this machine's part: journals, the lock of runs, the engine's files. Of a folder the folder itself
}

// placeOf gives the place of a name. The local part of a URL is under the user's cache folder: who deletes it can no longer resume a run.
func placeOf(name string) (place, error) {
	if !isURL(name) {
		return place{name, name}, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return place{}, fault.New(fault.InvalidInput, "open lake", displayed(name), "folder for journals: %w", err).WithHint("set XDG_CACHE_HOME or HOME")
	}
	plain := displayed(name)
	readable := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, plain), "-")
	sum := sha256.Sum256([]byte(plain))
	return place{name, filepath.Join(cache, "lakestep", fmt.Sprintf("%.60s-%x", readable, sum[:6]))}, nil
}

// exists tells whether something is there. A store would make the folder.
func (p place) exists(ctx context.Context) (bool, error) {
	if !isURL(p.Name) {
		_, err := os.Stat(p.Name)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, fault.New(fault.InvalidInput, "open", p.Name, "%w", err)
		}
		return true, nil
	}
	s, err := openStore(ctx, p.Name)
	if err != nil {
		return false, err
	}
	for _, err := range s.List(ctx, "", "") {
		return err == nil, err
	}
	return false, nil
}

func isURL(name string) bool { return strings.Contains(name, "://") }

// displayed is a name for messages: a URL of Azure without its query, which may be a signature.
func displayed(name string) string {
	if isURL(name) && !strings.HasPrefix(name, "s3://") {
		name, _, _ = strings.Cut(name, "?")
	}
	return name
}

const storeURLs = "a folder, s3://BUCKET/PATH, az://ACCOUNT/CONTAINER/PATH, or https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH"

// openStore opens a folder or a URL of object storage; a folder that is not there is made. Credentials come from the environment, as the
// services' own tools take them.
//
//	s3://BUCKET/PATH?endpoint=URL   Amazon S3, or another service at AWS_ENDPOINT_URL or endpoint; ?kms=KEY encrypts by a key
//	az://ACCOUNT/CONTAINER/PATH     Azure Blob; with AZURE_STORAGE_CONNECTION_STRING by what it says
//	https://HOST/CONTAINER/PATH     the same by its address, perhaps with a signature (SAS) behind it
func openStore(ctx context.Context, name string) (store.Store, error) {
	if !isURL(name) {
		return file.New(name)
	}
	u, err := url.Parse(name)
	if err != nil || u.User != nil {
		return nil, fault.New(fault.InvalidInput, "open store", displayed(name), "it is no URL, or holds a password").WithHint("give %s", storeURLs)
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
	return nil, fault.New(fault.InvalidInput, "open store", displayed(name), "there is no store for %s://", u.Scheme).WithHint("give %s", storeURLs)
}

func openS3(ctx context.Context, u *url.URL, path string) (store.Store, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fault.New(fault.InvalidInput, "open store", displayed(u.String()), "configuration of AWS: %w", err).WithHint("check ~/.aws/config and AWS_PROFILE")
	}
	o := s3.Options{Bucket: u.Host}
	for key, values := range u.Query() {
		switch key {
		case "endpoint":
			cfg.BaseEndpoint = &values[0]
		case "kms":
			o.KMSKey = values[0]
		default:
			return nil, fault.New(fault.InvalidInput, "open store", displayed(u.String()), "there is no option %s", key).WithHint("options: endpoint, kms")
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
		return nil, fault.New(fault.InvalidInput, "open store", displayed(u.String()), "it names no container").WithHint("give %s", storeURLs)
	}
	c, err := azureContainer(u, name, service)
	if err != nil {
		return nil, fault.New(fault.InvalidInput, "open store", displayed(u.String()), "%w", err).
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
