module example.com/fleet/pricing

go 1.22.7

require example.com/fleet/shared v0.0.0

replace example.com/fleet/shared => ../shared
