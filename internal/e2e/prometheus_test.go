package e2e

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Prometheus' own tool finds nothing to say about the metrics of a server that works, nor about
// the rules and the configuration that come with it; and the alerts go off when they should.
func TestPrometheus(t *testing.T) {
	c := newClient(t, "promtool")
	s := newServer(t)
	resp, err := http.Get("http://" + s.at(httpPort) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(text), "\nkurir_ready 1\n") {
		t.Fatalf("%v: %s", err, text)
	}
	if out, code := c.try(string(text), "promtool", "check", "metrics"); code != 0 {
		t.Errorf("promtool check metrics: exit %d: %s", code, out)
	}
	for _, f := range []string{"prometheus.yaml", "kurir.rules.yaml", "kurir.rules.test.yaml"} {
		b, err := os.ReadFile(filepath.Join("../../deploy/prometheus", f))
		if err != nil {
			t.Fatal(err)
		}
		c.file(f, string(b))
	}
	for _, args := range [][]string{{"check", "rules", "kurir.rules.yaml"}, {"test", "rules", "kurir.rules.test.yaml"}, {"check", "config", "prometheus.yaml"}} {
		if out, code := c.try("", "promtool", args...); code != 0 {
			t.Errorf("promtool %v: exit %d: %s", args, code, out)
		}
	}
}
