package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
	"kurir/internal/directory"
)

func groupCommand(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "group",
		Short: "Addresses for several people, to which not everybody may write",
		Long: `A group is an alias that says who may write to it:

  members   those that it leads to, and nobody else
  domain    they, and every account of its domain
  anyone    everybody, as with any other alias

Who has logged in is known by the account, whatever address is in From. A member on
another server is believed if SPF or DKIM prove the address in From. Everybody else is
refused with 550 5.7.2. Programs of this machine (kurir send) always may write.`,
		Example: `  kurir group add team@example.org alice@example.org bob@example.org
  kurir group add all@example.org team@example.org carol@example.org --post domain
  kurir group join team@example.org carol@example.org
  kurir group list`,
	}, groupAdd(e), groupList(e), groupJoin(e), groupLeave(e), groupPost(e), groupRemove(e))
}

func groupAdd(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "add ADDRESS [MEMBER...] [--to ADDRESS]...",
		Short: "Add a group",
		Example: `  kurir group add team@example.org alice@example.org bob@example.org
  kurir group add board@example.org alice@example.org --to carol@example.com
  kurir group add all@example.org team@example.org --post domain --may-send`,
		Args: atLeastMember,
	}
	to := addTo(c)
	maySend := c.Flags().Bool("may-send", false, "let all members send under this address")
	post := c.Flags().String("post", "members", "who may write to it: `members|domain|anyone`")
	c.RunE = func(c *cobra.Command, args []string) error {
		who, err := parsePost(*post)
		if err != nil {
			return err
		}
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			a := admin.Alias{Address: args[0], Targets: slices.Concat(args[1:], *to), Remote: *to, MaySend: *maySend, Post: who}
			if err := o.AddAlias(ctx, a); err != nil {
				return err
			}
			e.printf("Group %s added: %s.\n", plain(a.Address), describePost(a.Post))
			return nil
		})
	}
	return c
}

// addTo gives a command the flag for members on other servers.
func addTo(c *cobra.Command) *[]string {
	return c.Flags().StringArray("to", nil, "a member on another server, by `address`; can be given several times")
}

// atLeastMember wants an address, and a member in some way.
func atLeastMember(c *cobra.Command, args []string) error {
	if len(args) < 2 && !(len(args) == 1 && c.Flags().Changed("to")) {
		return exactly("ADDRESS", "MEMBER")(c, args)
	}
	return nil
}

// parsePost is the flag's word as the control socket has it.
func parsePost(word string) (string, error) {
	p, err := directory.ParsePost(word)
	if err != nil {
		return "", usagef("--post: %v", err)
	}
	return string(p), nil
}

func describePost(post string) string {
	switch directory.Post(post) {
	case directory.PostMembers:
		return "members may write to it"
	case directory.PostDomain:
		return "members and all accounts of its domain may write to it"
	}
	return "anyone may write to it"
}

func groupList(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List groups; kurir alias list has all aliases",
		Example: `  kurir group list
  kurir group list --json`,
		Args: exactly(),
	}
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return e.with(c.Context(), func(ctx context.Context, o admin.Operations) error {
			rows, err := o.ListAliases(ctx)
			if err != nil {
				return err
			}
			groups := slices.DeleteFunc(slices.Clone(rows), func(a admin.Alias) bool { return a.Post == "" })
			return list(e, *asJSON, groups, "GROUP\tMEMBERS\tWRITERS\tMAY SEND", "There are no groups.", func(a admin.Alias) string {
				return a.Address + "\t" + strings.Join(a.Targets, ", ") + "\t" + a.Post + "\t" + yesNo(maySend(rows, a))
			})
		})
	}
	return c
}

// changeGroup reads an alias, lets change alter it and writes it back.
func (e *env) changeGroup(ctx context.Context, address string, change func(*admin.Alias) error) error {
	return e.with(ctx, func(ctx context.Context, o admin.Operations) error {
		a, err := findAlias(ctx, o, address)
		if err == nil {
			err = change(&a)
		}
		if err == nil {
			err = o.SetAlias(ctx, a)
		}
		if err != nil {
			return err
		}
		e.printf("Members of %s: %s; %s.\n", plain(a.Address), plain(strings.Join(a.Targets, ", ")), describePost(a.Post))
		return nil
	})
}

// findAlias is the alias of an address.
func findAlias(ctx context.Context, o admin.Operations, address string) (admin.Alias, error) {
	wanted, err := directory.ParseAddress(address)
	if err != nil {
		return admin.Alias{}, err
	}
	rows, err := o.ListAliases(ctx)
	if err != nil {
		return admin.Alias{}, err
	}
	for _, a := range rows {
		if a.Address == wanted.String() {
			return a, nil
		}
	}
	return admin.Alias{}, fmt.Errorf("%s: %w; see: kurir group list", wanted, directory.ErrNoAlias)
}

func groupJoin(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "join ADDRESS [MEMBER...] [--to ADDRESS]...",
		Short: "Take members into a group",
		Example: `  kurir group join team@example.org carol@example.org
  kurir group join team@example.org --to dave@example.com`,
		Args: atLeastMember,
	}
	to := addTo(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return e.changeGroup(c.Context(), args[0], func(a *admin.Alias) error {
			for _, m := range slices.Concat(args[1:], *to) {
				if slices.ContainsFunc(a.Targets, sameAs(m)) {
					return fmt.Errorf("%s is a member of %s already; nothing was changed", plain(m), a.Address)
				}
				a.Targets = append(a.Targets, m)
			}
			a.Remote = append(a.Remote, *to...)
			return nil
		})
	}
	return c
}

func groupLeave(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "leave ADDRESS MEMBER...",
		Short:   "Take members out of a group",
		Example: `  kurir group leave team@example.org carol@example.org`,
		Args:    atLeastMember,
		RunE: func(c *cobra.Command, args []string) error {
			return e.changeGroup(c.Context(), args[0], func(a *admin.Alias) error {
				for _, m := range args[1:] {
					if !slices.ContainsFunc(a.Targets, sameAs(m)) {
						return fmt.Errorf("%s is no member of %s; nothing was changed", plain(m), a.Address)
					}
					a.Targets = slices.DeleteFunc(a.Targets, sameAs(m))
					a.Remote = slices.DeleteFunc(a.Remote, sameAs(m))
				}
				if len(a.Targets) == 0 {
					return fmt.Errorf("nobody would be left; to remove the group: kurir group remove %s", a.Address)
				}
				return nil
			})
		},
	}
}

// sameAs tells whether a target is the address m in any spelling.
func sameAs(m string) func(string) bool {
	wanted, err := directory.ParseAddress(m)
	return func(target string) bool {
		is, e := directory.ParseAddress(target)
		return err == nil && e == nil && is == wanted
	}
}

func groupPost(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "post ADDRESS members|domain|anyone",
		Short:   "Say who may write to a group, or to any alias",
		Example: `  kurir group post team@example.org domain`,
		Args:    exactly("ADDRESS", "WRITERS"),
		RunE: func(c *cobra.Command, args []string) error {
			who, err := parsePost(args[1])
			if err != nil {
				return err
			}
			return e.changeGroup(c.Context(), args[0], func(a *admin.Alias) error {
				a.Post = who
				return nil
			})
		},
	}
}

func groupRemove(e *env) *cobra.Command {
	c := aliasRemove(e)
	c.Short = "Remove a group"
	c.Example = `  kurir group remove team@example.org`
	return c
}
