package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
)

func healthCommand(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "health",
		Short: "Ask the running server whether all is well",
		Long: `Ask the running server whether all is well, through its control socket. Exit code 0:
it runs and all its checks are green; 1: it does not run, or something is wrong. In a
Dockerfile: HEALTHCHECK CMD ["kurir", "health"]`,
		Example: `  kurir health -c /etc/kurir/kurir.toml
  kurir health --json`,
		Args: exactly(),
	}
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := e.client()
		if err != nil {
			return err
		}
		defer client.Close()
		h, err := client.Health(c.Context())
		if errors.Is(err, admin.ErrNoServer) {
			return fmt.Errorf("%w; start it with: kurir serve", err)
		}
		if err != nil {
			return err
		}
		if *asJSON {
			if err := e.printJSON(h); err != nil || h.OK {
				return err
			}
			return errors.New("something is wrong")
		}
		for _, p := range sortedKeys(h.Problems) {
			e.printf("%s: %s\n", p, plain(h.Problems[p]))
		}
		if !h.OK {
			return errors.New("something is wrong")
		}
		e.printf("ok\n")
		return nil
	}
	return c
}
