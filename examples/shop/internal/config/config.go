// Package config reads the shop's settings from the environment, and refuses what it cannot use before anything starts.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"time"
)

// Config is what the environment decides.
type Config struct {
	// Port to listen on; SHOP_PORT, 8080 when unset.
	Port int
	// LogLevel is the lowest level that is logged; SHOP_LOG_LEVEL.
	LogLevel slog.Level
	// Zone dates receipts; SHOP_TZ, a name of the time zone database.
	Zone *time.Location
	// RatesURL answers with exchange rates as JSON; SHOP_RATES_URL. Without it prices are in euros only.
	RatesURL *url.URL
	// Drain is how long open requests may take after a signal to stop; SHOP_DRAIN.
	Drain time.Duration
	// ReceiptFolder holds receipts while they are sent; SHOP_RECEIPTS, the system's temporary folder when unset.
	ReceiptFolder string
}

// FromEnvironment reads every setting with lookup (os.Getenv in the service) and reports all that are wrong at once.
func FromEnvironment(lookup func(string) string) (Config, error) {
	value := func(name, fallback string) string {
		if v := lookup(name); v != "" {
			return v
		}
		return fallback
	}
	var c Config
	var problems []error
	refuse := func(name string, err error) { problems = append(problems, fmt.Errorf("%s: %w", name, err)) }

	var err error
	if c.Port, err = strconv.Atoi(value("SHOP_PORT", "8080")); err != nil {
		refuse("SHOP_PORT", err)
	} else if c.Port < 1 || c.Port > 65535 {
		refuse("SHOP_PORT", fmt.Errorf("%d is no port", c.Port))
	}
	if err := c.LogLevel.UnmarshalText([]byte(value("SHOP_LOG_LEVEL", "info"))); err != nil {
		refuse("SHOP_LOG_LEVEL", err)
	}
	if c.Zone, err = time.LoadLocation(value("SHOP_TZ", "Europe/Berlin")); err != nil {
		refuse("SHOP_TZ", err)
	}
	if c.Drain, err = time.ParseDuration(value("SHOP_DRAIN", "10s")); err != nil {
		refuse("SHOP_DRAIN", err)
	}
	if raw := value("SHOP_RATES_URL", ""); raw != "" {
		if c.RatesURL, err = url.Parse(raw); err != nil {
			refuse("SHOP_RATES_URL", err)
		} else if c.RatesURL.Scheme != "https" && c.RatesURL.Scheme != "http" {
			refuse("SHOP_RATES_URL", fmt.Errorf("%q is neither http nor https", raw))
		}
	}
	c.ReceiptFolder = value("SHOP_RECEIPTS", "")
	return c, errors.Join(problems...)
}
