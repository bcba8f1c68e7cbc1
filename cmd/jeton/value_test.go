package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "1048576": 1 << 20, "256MiB": 256 << 20, "2 GiB": 2 << 30, "1TiB": 1 << 40, "7B": 7} {
		got, err := parseSize(text)
		if err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
		if back, err := parseSize(writeSize(got)); err != nil || back != got {
			t.Errorf("%d is written %q and read %d, %v", got, writeSize(got), back, err)
		}
	}
	for _, text := range []string{"", "-1", "1MB", "many", "9999999999999TiB", "1.5GiB"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}

// An origin is written as a browser sends it, or it would never be found.
func TestOrigins(t *testing.T) {
	var list []string
	v := origins(&list)
	if err := v.Set("https://a.example.org, http://127.0.0.1:3000,"); err != nil || v.String() != "https://a.example.org,http://127.0.0.1:3000" {
		t.Errorf("read as %v, %v", list, err)
	}
	for _, text := range []string{"*", "a.example.org", "https://a.example.org/", "https://A.example.org", "https://u@a.example.org", "ftp://a", "https://a?b", "null"} {
		if v.Set(text) == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		"postgres://db/jeton":                "postgres://db/jeton",
		"postgres://jeton:secret@db/jeton":   "postgres://[redacted]@db/jeton",
		"postgres://jeton:se@cr@et@db/jeton": "postgres://[redacted]@db/jeton",
		"nats://token@a:4222":                "nats://[redacted]@a:4222",
		"nats://u:p@a:4222,nats://u:q@b:1":   "nats://[redacted]@b:1",
		"postgres://db/j?password=x&a=b":     "postgres://db/j?password=[redacted]&a=b",
		"user:secret@db":                     "[redacted]@db",
	} {
		if got := redact(text); got != want {
			t.Errorf("%q is shown as %q, not %q", text, got, want)
		}
	}
}

func TestLimits(t *testing.T) {
	for text, want := range map[string]string{"100/1m": "100/1m", "1/31d": "1/31d", "none": ""} {
		got, err := parseLimit(text)
		if err != nil || got.String() != want {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", "100", "100/", "/1m", "0/1m", "-1/1m", "many/1m", "99999999999/1m"} {
		if got, err := parseLimit(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// What a change of a grant doesn't name stays, so that nothing is widened by leaving
// it out.
func TestGrantChanges(t *testing.T) {
	narrow := &grant{Access: "custom", Permissions: []string{"engines.read"}, Resources: []string{"engine:prod"}}
	for flags, want := range map[string]string{
		"":                  "", // nil
		"--grant read-only": "read-only on engine:prod",
		"--grant usual":     "usual on engine:prod",
		"--role ci":         "role ci on engine:prod",
		"--permission tokens.check --permission log.read": "tokens.check log.read on engine:prod",
		"--resource engine:test --resource engine:dev":    "engines.read on engine:test engine:dev",
		"--resource none":                     "engines.read",
		"--role ci --resource none":           "role ci",
		"--role ci --grant read-only":         "error",
		"--permission tokens.check --role ci": "error",
	} {
		cmd := &cobra.Command{}
		given := newGrantFlags(cmd, "read-only", "full-access", usualAccess)
		if err := cmd.ParseFlags(strings.Fields(flags)); err != nil {
			t.Fatal(err)
		}
		got, err := given.over(narrow)
		if words := got.String(); err == nil && words != want || err != nil && want != "error" {
			t.Errorf("%q makes %q, %v; want %q", flags, words, err, want)
		}
	}
	if narrow.String() != "engines.read on engine:prod" {
		t.Errorf("the grant that was there is %q by now", narrow)
	}
}

func TestPrefixes(t *testing.T) {
	for _, text := range []string{"10.0.0.1/8", "localhost", "10.0.0.0/33"} {
		if got, err := parsePrefixes(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	got, err := parsePrefixes("10.0.0.0/8, 127.0.0.1,::1")
	if err != nil || len(got) != 3 || got[1].String() != "127.0.0.1/32" {
		t.Errorf("%v, %v", got, err)
	}
}
