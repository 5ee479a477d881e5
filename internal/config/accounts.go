package config

// Accounts is what holds for all accounts.
type Accounts struct {
	PlusFolders bool // user+NAME goes into the mailbox NAME, if the user has it
}

// accountsFields are the keys of [accounts].
func accountsFields(c *Config) []field {
	return []field{
		{key: "accounts.plus_folders", target: &c.Accounts.PlusFolders,
			doc: "Whether mail to user+news@example.org goes into the user's folder \"news\", if there is one\n(docs/accounts.md). It arrives in any case; otherwise in the INBOX."},
	}
}
