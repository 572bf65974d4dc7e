// Package rates asks a service on the network for exchange rates, over HTTPS with the machine's certificates.
package rates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// fresh is how long an answer is used before the service is asked again.
const fresh = 5 * time.Minute

// ErrUnknownCurrency says that the service has no rate for a currency.
var ErrUnknownCurrency = errors.New("unknown currency")

// Client remembers the last answer; it is safe for concurrent use.
type Client struct {
	url  *url.URL
	http *http.Client
	now  func() time.Time

	mutex sync.Mutex
	asked time.Time
	rates map[string]float64
}

// NewClient returns a client of the service at url; a nil url knows euros only.
func NewClient(url *url.URL, client *http.Client) *Client {
	return &Client{url: url, http: client, now: time.Now}
}

// Convert turns euro cents into the smallest unit of a currency.
func (c *Client) Convert(ctx context.Context, cents int64, currency string) (int64, error) {
	if currency == "EUR" {
		return cents, nil
	}
	if c.url == nil {
		return 0, fmt.Errorf("%w %q: no service of exchange rates is configured", ErrUnknownCurrency, currency)
	}
	rates, err := c.current(ctx)
	if err != nil {
		return 0, err
	}
	rate, known := rates[currency]
	if !known {
		return 0, fmt.Errorf("%w %q", ErrUnknownCurrency, currency)
	}
	return int64(float64(cents)*rate + 0.5), nil
}

func (c *Client) current(ctx context.Context) (map[string]float64, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.rates != nil && c.now().Sub(c.asked) < fresh {
		return c.rates, nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("cannot ask for exchange rates: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("cannot ask for exchange rates: %s", response.Status)
	}
	var body struct {
		Rates map[string]float64 `json:"rates"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&body); err != nil {
		return nil, fmt.Errorf("cannot read exchange rates: %w", err)
	}
	c.rates, c.asked = body.Rates, c.now()
	return c.rates, nil
}
