package config

import (
	"os"
	"strings"
	"testing"
)

const configurationPage = "../../docs/configuration.md"

// The page for admins shows every key with its default: KURIR_UPDATE_DOCS=1 writes it.
func TestConfigurationPage(t *testing.T) {
	want := "# Configuration\n\nkurir reads one TOML file: `--config`, else `$KURIR_CONFIG`, else `./kurir.toml`, else `/etc/kurir/kurir.toml`. Only `hostname` must be set.\n" +
		"`kurir check` finds all mistakes at once. A key that is not known is an error, with its line and the nearest name. Below is every key with its default,\n" +
		"and the environment variable that overrides it.\n\n```toml\n" + strings.TrimRight(Example(), "\n") + "\n```\n"
	if os.Getenv("KURIR_UPDATE_DOCS") != "" {
		if err := os.WriteFile(configurationPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(configurationPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/configuration.md is not what config.Example says: run the test with KURIR_UPDATE_DOCS=1")
	}
}
