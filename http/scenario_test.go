package http

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

// scenario says what a request does after what has happened. What is left out:
// nothing has happened but the world's beginning, ann asks, nothing is appended.
// The answers of a table stand in one golden file, to be read in review.
type scenario struct {
	given   func(*world)
	as      string
	send    string // "GET /api/v1/…", with {names}
	body    string
	headers []string
	status  int
	then    []string // the kinds of events that are appended
}

// stranger has no credential.
const stranger = "-"

// shownHeaders are those that golden files show.
var shownHeaders = []string{"Allow", "Etag", "Idempotency-Replayed", "Jeton-Views", "Link", "Location", "Retry-After", "Www-Authenticate"}

// run runs a table, each scenario in a world of its own.
func run(t *testing.T, golden string, scenarios map[string]scenario) {
	t.Helper()
	file := filepath.Join("testdata", golden+".golden")
	want := readGolden(t, file)
	got := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(scenarios)) {
		t.Run(name, func(t *testing.T) {
			got[name] = scenarios[name].run(t)
			if diff := cmp.Diff(want[name], got[name]); diff != "" && !*update {
				t.Errorf("the answer is not that of %s (-want +got); -update writes it anew:\n%s", file, diff)
			}
		})
	}
	if *update {
		writeGolden(t, file, got)
		return
	}
	for name := range want {
		if _, known := scenarios[name]; !known {
			t.Errorf("%s has an answer to %q, which nobody asks: -update", file, name)
		}
	}
}

// run sends the request and answers the transcript.
func (s scenario) run(t *testing.T) string {
	t.Helper()
	w := newWorld(t)
	if s.given != nil {
		s.given(w)
	}
	before := w.last()
	as := s.as
	switch as {
	case "":
		as = "ann"
	case stranger:
		as = ""
	}
	answered := w.send(as, s.send, s.body, s.headers...)
	if answered.status != s.status {
		t.Errorf("%s as %q: status is %d, want %d: %s", s.send, as, answered.status, s.status, answered.body)
	}
	if diff := cmp.Diff(s.then, w.since(before)); diff != "" {
		t.Errorf("%s as %q: events (-want +got):\n%s", s.send, as, diff)
	}
	return s.transcript(w, answered)
}

func (s scenario) transcript(w *world, answered reply) string {
	var text strings.Builder
	for _, name := range shownHeaders {
		if value := answered.header.Get(name); value != "" {
			fmt.Fprintf(&text, "%s: %s\n", name, w.pretty(value))
		}
	}
	transcript := fmt.Sprintf("> %s\n> %s\n< %d\n%s%s", s.send, s.body, answered.status, text.String(), w.pretty(answered.body))
	return strings.TrimRight(transcript, "\n") + "\n"
}

const heading = "=== "

func readGolden(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for section := range strings.SplitSeq("\n"+string(text), "\n"+heading) {
		if name, body, found := strings.Cut(section, "\n"); found {
			sections[name] = strings.TrimRight(body, "\n") + "\n"
		}
	}
	return sections
}

func writeGolden(t *testing.T, file string, sections map[string]string) {
	t.Helper()
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		fmt.Fprintf(&text, "%s%s\n%s\n", heading, name, sections[name])
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// does is a request that has been made before, with success.
func does(as, send, body string) func(*world) {
	return func(w *world) {
		w.Helper()
		if answered := w.send(as, send, body); answered.status/100 != 2 {
			w.Fatalf("%s as %s: status %d: %s", send, as, answered.status, answered.body)
		}
	}
}

// hasToken is a token that somebody has made before: {name.token} is its id.
func hasToken(as, name, kind string) func(*world) {
	return func(w *world) { w.Helper(); w.issue(as, "acme", name, kind) }
}

func passes(d time.Duration) func(*world) { return func(w *world) { w.pass(d) } }

func all(steps ...func(*world)) func(*world) {
	return func(w *world) {
		w.Helper()
		for _, step := range steps {
			step(w)
		}
	}
}
