package rates

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"
)

func TestConvert(t *testing.T) {
	asked := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		fmt.Fprint(w, `{"rates":{"USD":1.25,"JPY":1.6}}`)
	}))
	defer server.Close()
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	client := NewClient(address, server.Client())
	client.now = func() time.Time { return now }
	ctx := context.Background()
	for _, c := range []struct {
		currency string
		want     int64
		err      error
	}{{"EUR", 1000, nil}, {"USD", 1250, nil}, {"JPY", 1600, nil}, {"XXX", 0, ErrUnknownCurrency}} {
		got, err := client.Convert(ctx, 1000, c.currency)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: got %d, %v", c.currency, got, err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
	now = now.Add(fresh)
	if _, err := client.Convert(ctx, 1, "USD"); err != nil || asked != 2 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}

func TestUntrustedCertificateIsRefused(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = nil
	server.StartTLS()
	defer server.Close()
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewClient(address, http.DefaultClient).Convert(context.Background(), 1, "USD"); err == nil {
		t.Fatal("accepted a certificate that nobody signed")
	}
}
