package main

import (
	"os"
	"path/filepath"
	"testing"

	"jeton/eventstore"
)

// A log that was restored or repaired has another id. It goes on being signed under the
// name it had, with the keys it had: whoever trusts those verifies what is exported then.
func TestMadeAnewItIsSignedAsBefore(t *testing.T) {
	dir := t.TempDir()
	m := beginSigned(t, func(c *Config) { c.Data = filepath.Join(dir, "first") })
	root, id := m.Founded.Token, m.Store.StoreID()
	ask := func(m *Main, args ...string) ran {
		t.Helper()
		return jeton(t, dir, []string{"JETON_URL=" + m.URL, "JETON_TOKEN=" + root}, args...)
	}
	// signed exports what is signed, and verifies it with the keys of the beginning.
	signed := func(m *Main, bundle string) {
		t.Helper()
		ask(m, "token", "create", "made for "+bundle).must(t, 0)
		last := m.Model.Position()
		await(t, "an epoch in the views", func() bool {
			at, err := m.Views.Position()
			return err == nil && m.Model.Epoch().Behind(last) == 0 && at >= m.Model.Epoch().At
		})
		ask(m, "audit", "bundle", "--out", bundle).must(t, 0)
		if _, err := os.Stat(filepath.Join(dir, "keys")); err != nil {
			keys := ask(m, "audit", "keys", "-o", "name").must(t, 0)
			if err := os.WriteFile(filepath.Join(dir, "keys"), []byte(keys), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		jeton(t, dir, nil, "audit", "verify", bundle, "--key", "keys", "-o", "json").must(t, 0, `"valid": true`, `"trusted": true`, `"log": "`+id+`"`)
		ask(m, "member", "list").must(t, 0, "mia@acme.test")
	}
	closed := func(m *Main) {
		t.Helper()
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ask(m, "member", "add", "mia@acme.test", "-o", "name").must(t, 0)
	signed(m, "before")
	ask(m, "backup", "--out", "all.backup").must(t, 0)
	closed(m)

	jeton(t, dir, []string{"JETON_MASTER_KEY_FILE=first/master.key"}, "restore", "--in", "all.backup", "--data", "restored").must(t, 0)
	again := beginSigned(t, func(c *Config) { c.Data = filepath.Join(dir, "restored") })
	if again.Store.StoreID() == id {
		t.Error("the restored log has the id of the first")
	}
	signed(again, "after")
	closed(again)

	if err := os.RemoveAll(eventstore.LogFiles(filepath.Join(dir, "first"))); err != nil {
		t.Fatal(err)
	}
	jeton(t, dir, nil, "repair", "--data", "first", "--yes").must(t, 0, "Repaired")
	again = beginSigned(t, func(c *Config) { c.Data = filepath.Join(dir, "first") })
	if again.Store.StoreID() == id {
		t.Error("the repaired log has the id of the damaged one")
	}
	signed(again, "mended")
	closed(again)
}
