package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kurir/internal/admin"
	"kurir/internal/config"
	"kurir/internal/directory"
	"kurir/internal/fsx"
	"kurir/internal/setup"
)

// Where a server of the whole machine has its things.
const (
	systemData = "/var/lib/kurir"
	systemUser = "kurir"
)

// findConfig finds the configuration in use, or decides where it will be.
func (r *setupRun) findConfig() (err error) {
	p := &r.result
	file := r.configFile()
	if file == "" {
		file = "kurir.toml"
		if isRoot() && r.systemConfig != "" {
			file = r.systemConfig
		}
		if r.data == "" && !isRoot() && !inContainer() {
			if err := besideInstalled(r.files, r.systemConfig, p.Domain); err != nil {
				return err
			}
		}
	}
	if p.Config, err = filepath.Abs(file); err != nil {
		return err
	}
	_, err = r.files.Stat(p.Config)
	if p.configThere = err == nil; !p.configThere && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the configuration: %w", err)
	}
	if p.Data, err = r.dataDir(); err != nil {
		return err
	}
	if !p.configThere {
		return nil
	}
	r.config = p.Config
	if r.cfg, err = r.settings(); err != nil {
		return fmt.Errorf("the configuration that is there cannot be used: mend it, or move it away and run this again\n%w", err)
	}
	if r.isSet, err = config.SetKeys(p.Config, r.environ); err != nil {
		return err
	}
	p.Data = r.cfg.Data
	if isLocal(r.files, p.Data) {
		return notForServe(p.Data)
	}
	return nil
}

// besideInstalled refuses a server of somebody who is not root, where kurir is installed for
// the machine: sudo was forgotten.
func besideInstalled(files fsx.FS, systemConfig, domain string) error {
	dir := filepath.Dir(systemConfig)
	if info, err := files.Stat(dir); systemConfig == "" || err != nil || !info.IsDir() {
		return nil
	}
	return fmt.Errorf("kurir is installed for this machine (%s is there), so root has to set it up: sudo kurir setup %s; for a server of your own beside it name a file with -c FILE", dir, domain)
}

// dataDir is where the data are to be if no configuration says so.
func (r *setupRun) dataDir() (string, error) {
	switch {
	case r.data != "":
		return filepath.Abs(r.data)
	case r.getenv("KURIR_DATA") != "":
		return filepath.Abs(r.getenv("KURIR_DATA"))
	case isRoot() || mayWrite(systemData) == nil:
		return systemData, nil
	}
	return filepath.Join(filepath.Dir(r.result.Config), "kurir-data"), nil
}

// chosen are the settings that follow from the answers.
func (r *setupRun) chosen() ([]config.Setting, error) {
	p := &r.result
	all := []config.Setting{{Key: "hostname", Value: p.Hostname}, {Key: "admin", Value: p.Account}}
	add := func(key, value string) {
		if value != "" {
			all = append(all, config.Setting{Key: key, Value: value})
		}
	}
	if p.Data != config.Default().Data {
		add("data", p.Data)
	}
	if r.tellAddresses {
		add("dns.addresses", strings.Join(addressTexts(r.addresses), ","))
	}
	add("web.http", ":80")
	add("web.https", ":443")
	if p.acme {
		add("acme.enabled", "true")
		add("acme.email", p.acmeEmail)
		add("acme.directory", p.acmeDirectory)
		if p.acmeCA != "" {
			ca, err := filepath.Abs(p.acmeCA)
			if err != nil {
				return nil, err
			}
			add("acme.ca_file", ca)
		}
	} else {
		add("acme.enabled", "false")
	}
	for _, text := range r.flags.set {
		key, value, ok := strings.Cut(text, "=")
		if !ok || !config.Known(key) {
			return nil, usagef("--set %s: it has to be KEY=VALUE, with a key of docs/configuration.md, such as relay.smarthost=smtp.example.net", text)
		}
		all = replaceSetting(all, config.Setting{Key: key, Value: value})
	}
	return all, nil
}

// replaceSetting adds a setting, or takes the place of one with its key.
func replaceSetting(all []config.Setting, s config.Setting) []config.Setting {
	for i := range all {
		if all[i].Key == s.Key {
			all[i].Value = s.Value
			return all
		}
	}
	return append(all, s)
}

// make makes what is missing: configuration, folder, domain, account.
func (r *setupRun) make(ctx context.Context) error {
	r.heading("What is made")
	chosen, err := r.chosen()
	if err != nil {
		return err
	}
	if err := r.makeConfig(chosen); err != nil {
		return err
	}
	if err := r.makeData(); err != nil {
		return err
	}
	if err := r.openAsOwner(ctx); err != nil {
		return err
	}
	return r.create(ctx, func(ctx context.Context, o admin.Operations) error {
		if err := r.makeDomain(ctx, o); err != nil {
			return err
		}
		return r.makeAccount(ctx, o)
	})
}

// makeConfig writes the configuration, or says in what the one that is there differs.
func (r *setupRun) makeConfig(chosen []config.Setting) (err error) {
	p := &r.result
	if r.configThere() {
		r.compareConfig(chosen)
		p.Hostname = r.cfg.Hostname
		return readableBy(p.Config, systemUser)
	}
	body, err := config.Sample(chosen, "relay.smarthost", "limits.message_size", "tls.cert", "tls.key", "log.level")
	if err != nil {
		return usagef("%v", err)
	}
	text := "# Configuration of kurir, made by: kurir setup " + p.Domain + "\n" +
		"# Lines behind # are notes, or settings at their default. All settings there are, with what\n" +
		"# they mean: docs/configuration.md. After a change: kurir check, then kurir reload.\n" + body
	if err := fsx.MkdirAll(r.files, filepath.Dir(p.Config), 0o755); err != nil {
		return fmt.Errorf("the configuration's folder: %w; run this as root, or name another place with --config FILE", err)
	}
	if err := r.dropLeftovers(); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if slices.ContainsFunc(chosen, func(s config.Setting) bool { return config.IsSecret(s.Key) }) {
		mode = 0o600
	}
	if err := fsx.WriteFile(r.files, p.Config, []byte(text), mode); err != nil {
		return fmt.Errorf("writing the configuration: %w; run this as root, or name another place with --config FILE", err)
	}
	if err := readableBy(p.Config, systemUser); err != nil {
		return err
	}
	r.config = p.Config
	if r.cfg, err = r.settings(); err != nil {
		return errors.Join(fmt.Errorf("the settings do not fit together, and no configuration was written: %w", err), r.files.Remove(p.Config))
	}
	r.report(setup.Step{Name: "config", Outcome: setup.Done, Text: "Configuration written: " + p.Config})
	return nil
}

// dropLeftovers removes what a run left that was killed while it wrote the configuration.
func (r *setupRun) dropLeftovers() error {
	dir, base := filepath.Split(r.result.Config)
	names, err := r.files.ReadNames(dir)
	for _, name := range names {
		if fsx.IsTemp(name) && strings.HasPrefix(name, base+".") {
			err = errors.Join(err, r.files.Remove(filepath.Join(dir, name)))
		}
	}
	return err
}

// compareConfig says what of the answers the configuration that is there does not say.
func (r *setupRun) compareConfig(chosen []config.Setting) {
	p := &r.result
	given := map[string]bool{
		"hostname": r.flags.hostname != "", "acme.email": r.flags.acmeEmail != "", "acme.directory": r.flags.acmeDirectory != "",
		"acme.ca_file": r.flags.acmeCA != "", "acme.enabled": r.flags.noACME,
	}
	for _, text := range r.flags.set {
		key, _, _ := strings.Cut(text, "=")
		given[key] = true
	}
	var wanted []config.Setting
	for _, s := range chosen {
		own := (r.cfg.TLS.Cert != "" || r.isSet["acme.enabled"] && !r.cfg.ACME.Enabled) && strings.HasPrefix(s.Key, "acme.")
		if given[s.Key] || !r.isSet[s.Key] && !own && s.Key != "data" {
			wanted = append(wanted, s)
		}
	}
	differ, err := r.cfg.Differences(wanted)
	if err != nil || len(differ) == 0 {
		r.report(setup.Step{Name: "config", Outcome: setup.Kept, Text: "Configuration as it was: " + p.Config})
		return
	}
	s := setup.Step{Name: "config", Outcome: setup.Todo, Text: "The configuration " + p.Config + " is left as it is, but says something else than was answered now:"}
	for _, d := range differ {
		what := "nothing"
		if r.isSet[d.Key] {
			what = d.Has
		}
		s.Text += fmt.Sprintf(" %s is %s there, and would be %s;", d.Key, what, d.Wants)
	}
	s.Text = strings.TrimSuffix(s.Text, ";") + "."
	s.Do = "Change it there if you want that, then kurir reload: " + tomlLines(differ)
	r.report(s)
}

// tomlLines are settings as they can be written on one line.
func tomlLines(all []config.Difference) string {
	var lines []string
	for _, d := range all {
		section, last, ok := strings.Cut(d.Key, ".")
		if !ok {
			section, last = "", d.Key
		}
		line := last + " = " + d.Wants
		if section != "" {
			line += " (below [" + section + "])"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ", ")
}

// dataThere tells whether the data directory holds data.
func (r *setupRun) dataThere() bool {
	_, err := r.files.Stat(filepath.Join(r.result.Data, "kurir.db"))
	return err == nil
}

// makeData makes the data directory, and gives it to the user that the server will be.
func (r *setupRun) makeData() error {
	dir := r.cfg.Data
	r.result.Data = dir
	if _, err := os.Stat(dir); err == nil {
		r.report(setup.Step{Name: "data", Outcome: setup.Kept, Text: "Data directory as it was: " + dir})
		return giveIfEmpty(r.files, dir, systemUser)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the data directory: %w", err)
	}
	if err := fsx.MkdirAll(r.files, dir, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w; run this as root, or name another one with --data DIR", err)
	}
	if err := giveIfEmpty(r.files, dir, systemUser); err != nil {
		return err
	}
	r.report(setup.Step{Name: "data", Outcome: setup.Done, Text: "Data directory made: " + dir})
	return nil
}

// makeDomain adds the domain with its keys.
func (r *setupRun) makeDomain(ctx context.Context, o admin.Operations) error {
	p := &r.result
	err := o.AddDomain(ctx, p.Domain)
	switch {
	case errors.Is(err, directory.ErrExists):
		r.report(setup.Step{Name: "domain", Outcome: setup.Kept, Text: "kurir takes mail for " + showDomain(p.Domain) + " already."})
		return nil
	case err != nil:
		return err
	}
	r.report(setup.Step{Name: "domain", Outcome: setup.Done, Text: "kurir takes mail for " + showDomain(p.Domain) + " now; its DKIM keys are made."})
	return nil
}

// makeAccount adds the first account, unless there is one.
func (r *setupRun) makeAccount(ctx context.Context, o admin.Operations) error {
	p := &r.result
	if !p.accountThere {
		if p.passwordMade { // shown first: who is cut off then has an account with a password that is known
			r.printf("         Password of %s, shown this once:  %s\n", p.Account, p.Password)
		}
		_, err := o.AddAccount(ctx, admin.NewAccount{Address: p.Account, Password: p.Password})
		switch {
		case errors.Is(err, directory.ErrExists):
			p.accountThere = true // the data could not be asked before
		case err != nil:
			return err
		default:
			r.report(setup.Step{Name: "account", Outcome: setup.Done, Text: "Account " + p.Account + " made."})
		}
	}
	if p.accountThere {
		r.report(setup.Step{Name: "account", Outcome: setup.Kept, Text: "Account " + p.Account + " as it was, with its password."})
	}
	if p.accountThere || !p.passwordMade {
		p.Password, p.passwordMade = "", false
	}
	return nil
}
