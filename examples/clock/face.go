package main

import (
	"fmt"
	"strings"
	"time"
)

type row struct {
	Zone, Time, Offset string
	Night              bool
}

type page struct {
	Rows    []row
	Version string
}

// loadZones looks every name up at once, so that a machine without zoneinfo fails at its start and not at its first request.
func loadZones(names []string) ([]*time.Location, error) {
	zones := make([]*time.Location, 0, len(names))
	for _, name := range names {
		zone, err := time.LoadLocation(strings.TrimSpace(name))
		if err != nil {
			return nil, fmt.Errorf("cannot load time zone %q: %w", name, err)
		}
		zones = append(zones, zone)
	}
	return zones, nil
}

func face(zones []*time.Location, now time.Time) page {
	result := page{Version: version}
	for _, zone := range zones {
		local := now.In(zone)
		result.Rows = append(result.Rows, row{
			Zone:   zone.String(),
			Time:   local.Format("Mon 15:04:05"),
			Offset: local.Format("-07:00"),
			Night:  local.Hour() < 6 || local.Hour() >= 22,
		})
	}
	return result
}
