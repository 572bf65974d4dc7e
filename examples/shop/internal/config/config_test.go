package config

import (
	"strings"
	"testing"
	"time"
)

func lookup(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestDefaults(t *testing.T) {
	c, err := FromEnvironment(lookup(nil))
	if err != nil {
		t.Fatal(err)
	}
	if c.Port != 8080 || c.Zone.String() != "Europe/Berlin" || c.Drain != 10*time.Second || c.RatesURL != nil {
		t.Fatalf("got %+v", c)
	}
}

func TestEveryProblemIsNamed(t *testing.T) {
	_, err := FromEnvironment(lookup(map[string]string{
		"SHOP_PORT":      "70000",
		"SHOP_LOG_LEVEL": "loud",
		"SHOP_TZ":        "Europe/Atlantis",
		"SHOP_DRAIN":     "soon",
		"SHOP_RATES_URL": "ftp://rates.example",
	}))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range []string{"SHOP_PORT: 70000", "SHOP_LOG_LEVEL: ", "SHOP_TZ: ", "SHOP_DRAIN: ", "SHOP_RATES_URL: "} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name %s", err, name)
		}
	}
}
