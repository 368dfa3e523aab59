package blob_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/blob"
	"github.com/lakestep/lakestep/shared/store/storetest"
)

// client makes a new container.
func client(t *testing.T, s storetest.Service, o *container.ClientOptions) *container.Client {
	t.Helper()
	c, err := container.NewClientFromConnectionString(s.ConnectionString(), s.Bucket(t), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConformance(t *testing.T) {
	s := storetest.Azurite(t)
	// Azurite does not encode in a listing what XML cannot hold; the other keys are refused.
	cannot := storetest.Cannot{Keys: []string{"\u0001", `back\slash`, "...", "trailing."}}
	storetest.RunExcept(t, func(t *testing.T) store.Store { return blob.New(client(t, s, nil)) }, cannot)
}

// A name that the service would change is refused before it could hide another object.
func TestNamesThatAzureChanges(t *testing.T) {
	c, err := container.NewClientWithNoCredential("http://127.0.0.1:1/account/container?sig=SECRET", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{`a\b`, "a.", "a./b", "..."} {
		err := blob.New(c).Put(t.Context(), key, strings.NewReader("x"), store.PutOptions{})
		if fault.KindOf(err) != fault.InvalidInput || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v", key, err)
		}
	}
}

func TestLostRequests(t *testing.T) {
	s := storetest.Azurite(t)
	storetest.RunHTTP(t, func(t *testing.T, tr http.RoundTripper) store.Store {
		o := &container.ClientOptions{}
		o.Transport = &http.Client{Transport: tr}
		return blob.New(client(t, s, o))
	})
}
