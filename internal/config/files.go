package config

// Files are the files that the configuration names, other than its own and the data.
func (c *Config) Files() []string {
	var all []string
	add := func(f field) {
		if p, ok := f.target.(*string); ok && f.path && *p != "" && f.key != "data" && f.key != "control" {
			all = append(all, *p)
		}
	}
	for _, f := range fields(c) {
		add(f)
	}
	for i := range c.Routes {
		for _, f := range routeFields("", &c.Routes[i]) {
			add(f)
		}
	}
	return all
}
