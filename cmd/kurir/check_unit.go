package main

import (
	"errors"
	"io/fs"
	"strings"

	"kurir/internal/config"
	"kurir/internal/confine"
	"kurir/internal/fsx"
)

// maxUnitEnvironment is what is read of the file of variables that the systemd unit gives
// the server (EnvironmentFile=), in bytes.
const maxUnitEnvironment = 1 << 16

// checkUnit says which variables the server would have from its unit and this command has
// not: they may make the configuration another one.
func (e *env) checkUnit(r *report, file string) {
	if file == "" {
		return
	}
	text, err := fsx.ReadFile(e.files, file, maxUnitEnvironment)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.warn("config", "%s: %v", file, err)
		}
		return
	}
	var unseen []string
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || !strings.HasPrefix(name, "KURIR_") {
			continue
		}
		if e.getenv(name) != strings.Trim(value, `"'`) {
			unseen = append(unseen, name)
		}
	}
	if len(unseen) > 0 {
		r.warn("config", "%s sets %s for the server under systemd, which this command does not see: to check with them, set -a; . %s; set +a", file, strings.Join(unseen, ", "), file)
	}
}

// checkConfine says whether the kernel will keep the server to its folders.
func checkConfine(r *report, cfg *config.Config) {
	switch v := confine.Version(); {
	case !cfg.Confine:
		r.pass("config", "confine is false: the kernel does not keep the server to its folders")
	case v == 0:
		r.pass("config", "the kernel has no Landlock, or keeps it from this process: the server will not be confined to its folders")
	default:
		r.pass("config", "the kernel has Landlock (version %d): the server confines itself to its folders", v)
	}
}
