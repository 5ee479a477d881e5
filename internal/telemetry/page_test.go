package telemetry

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	pageFile  = "../../docs/monitoring.md"
	pageBegin = "<!-- metrics: generated, KURIR_UPDATE_DOCS=1 go test ./internal/telemetry -->\n"
	pageEnd   = "<!-- end of metrics -->"
)

// described is a metric of the registry.
type described struct{ name, help, labels string }

// descriptions are all metrics of kurir's own, by name.
func descriptions(t *testing.T) (all []described) {
	t.Helper()
	m := New()
	ch := make(chan *prometheus.Desc, 1000)
	m.registry.Describe(ch)
	close(ch)
	shape := regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: "([^"]+)",(?: unit: "[^"]*",)? constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}\}$`)
	for d := range ch {
		got := shape.FindStringSubmatch(d.String())
		if got == nil {
			t.Fatalf("not understood: %s", d)
		}
		if strings.HasPrefix(got[1], "kurir_") {
			all = append(all, described{got[1], got[2], got[4]})
		} else if !strings.HasPrefix(got[1], "go_") && !strings.HasPrefix(got[1], "process_") {
			t.Errorf("%s is neither of kurir, Go nor the process", got[1])
		}
	}
	slices.SortFunc(all, func(a, b described) int { return strings.Compare(a.name, b.name) })
	return slices.Compact(all)
}

// TestPage: docs/monitoring.md has the table of all metrics.
func TestPage(t *testing.T) {
	var b strings.Builder
	b.WriteString(pageBegin + "| metric | labels | means |\n| --- | --- | --- |\n")
	for _, d := range descriptions(t) {
		labels := ""
		if d.labels != "" {
			labels = "`" + strings.ReplaceAll(d.labels, ",", "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", d.name, labels, d.help)
	}
	b.WriteString(pageEnd)
	text, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), pageBegin)
	_, after, ok2 := strings.Cut(rest, pageEnd)
	if !ok || !ok2 {
		t.Fatal("the page has no place for the metrics")
	}
	want := before + b.String() + after
	if want == string(text) {
		return
	}
	if os.Getenv("KURIR_UPDATE_DOCS") == "" {
		t.Fatal("docs/monitoring.md is not up to date: KURIR_UPDATE_DOCS=1 go test ./internal/telemetry")
	}
	if err := os.WriteFile(pageFile, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestQueriesHaveMetrics: what the dashboard and the alerts ask for exists, and each alert is in the docs.
func TestQueriesHaveMetrics(t *testing.T) {
	var names []string
	for _, d := range descriptions(t) {
		names = append(names, d.name, d.name+"_bucket", d.name+"_count", d.name+"_sum")
	}
	metric := regexp.MustCompile(`\bkurir_[a-z_]+`)
	for _, file := range []string{"grafana/kurir.json", "prometheus/kurir.rules.yaml", "prometheus/kurir.rules.test.yaml"} {
		text, err := os.ReadFile(filepath.Join("../../deploy", file))
		if err != nil {
			t.Fatal(err)
		}
		found := metric.FindAllString(string(text), -1)
		for _, m := range found {
			if !slices.Contains(names, m) {
				t.Errorf("%s asks for %s, which there is not", file, m)
			}
		}
		if len(found) < 10 {
			t.Errorf("%s: only %d metrics found", file, len(found))
		}
	}
	rules, err := os.ReadFile("../../deploy/prometheus/kurir.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(rules), -1)
	for _, a := range alerts {
		if !regexp.MustCompile(`\b` + a[1] + `\b`).Match(page) {
			t.Errorf("docs/monitoring.md does not say what to do about %s", a[1])
		}
	}
	if len(alerts) < 10 {
		t.Errorf("only %d alerts", len(alerts))
	}
}
