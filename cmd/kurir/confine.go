package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kurir/internal/config"
	"kurir/internal/confine"
)

// systemFiles are what every program of this machine reads: names and resolvers, time
// zones, the system's certificates, and what the kernel tells of the machine. Folders, not
// files: many of these are replaced by others of their name.
func systemFiles() []string {
	all := []string{
		"/etc", "/usr/share", "/usr/local/share", "/usr/lib", "/lib", "/lib64", "/proc", "/sys",
		"/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/run/nscd", os.Getenv("ZONEINFO"),
	}
	for _, file := range []string{
		"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/localtime", "/etc/ssl/certs", "/etc/ssl/certs/ca-certificates.crt",
		os.Getenv("SSL_CERT_FILE"), os.Getenv("SSL_CERT_DIR"),
	} {
		if file != "" {
			all = append(all, confine.Around(file)...)
		}
	}
	return slices.DeleteFunc(all, func(p string) bool { return !filepath.IsAbs(p) || p == "/" })
}

// paths are what a server of this configuration goes on to use.
func (s *site) paths() confine.Paths {
	c := s.cfg
	p := confine.Paths{
		// An account's or a domain's folder may be a link to another disk, data/mail/DOMAIN/NAME.
		Write: append([]string{c.Data}, confine.Linked(c.Data, 3)...),
		Read:  systemFiles(),
	}
	if dir := filepath.Dir(c.Control); dir != c.Data {
		p.Write = append(p.Write, dir)
	}
	p.Write = append(p.Write, os.TempDir(), "/var/tmp", "/dev/null") // SQLite sorts much in files
	for _, address := range c.LMTP.Address {
		if path, ok := config.UnixPath(address); ok {
			p.Write = append(p.Write, filepath.Dir(path))
		}
	}
	files := c.Files()
	if file := s.env.configFile(); file != "" {
		if path, err := filepath.Abs(file); err == nil {
			files = append(files, path)
		}
	}
	for _, file := range files {
		p.Read = append(p.Read, confine.Around(file)...)
	}
	return p
}

// confine binds this process to its folders, if the configuration says so and the kernel
// can. It is not undone by anything; without it the server works just as well.
func (s *site) confine() {
	if !s.cfg.Confine || s.env.confine == nil {
		return
	}
	p := s.paths()
	version, err := s.env.confine(p)
	switch {
	case err != nil:
		s.log.Warn("this process could not confine itself to its folders", "error", err)
	case version == 0:
		s.log.Info("the kernel has no Landlock: this process is not confined to its folders")
	default:
		s.confined = true
		s.log.Info("confined to its folders", "landlock", version, "writes", strings.Join(p.Write, " "))
	}
}

// outside explains an error of a file that was not known when the process confined itself.
func (s *site) outside(err error) error {
	if !s.confined || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w\nthis process has confined itself to the folders that it was configured with when it began: a file or a socket in another one needs a restart, if it is not its permissions", err)
}
