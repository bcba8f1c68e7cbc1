package eventstore

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jeton/domain"
)

func vaultOf(t testing.TB, keys Keys) *Vault {
	t.Helper()
	v, err := OpenVault(t.Context(), keys, Master{1})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// someText has all that can stand in a header, and more.
func someText(r *rand.Rand, most int) string {
	letters := []rune("ab \"\\<>{}[]é\u2028日,:\x00\n")
	text := make([]rune, r.IntN(most))
	for i := range text {
		text[i] = letters[r.IntN(len(letters))]
	}
	return string(text)
}

// someCommit is of anybody, and registers some people.
func someCommit(r *rand.Rand) domain.Commit {
	c := stored()
	c.Command, c.Address, c.Agent = domain.RandomCommandID(), someText(r, 40), someText(r, 201)
	c.Actor = []domain.Actor{{Kind: domain.ActorSystem}, {Kind: domain.ActorToken, Token: c.Actor.Token}, c.Actor}[r.IntN(3)]
	if r.IntN(2) == 0 {
		c.Organization = domain.OrganizationID{}
	}
	for range r.IntN(3) {
		c.Events = append(c.Events, domain.AccountRegistered{Account: domain.AccountID{ID: domain.RandomID()}, Email: "x" + someText(r, 30)})
	}
	return c
}

// recorded is a commit sealed and stored.
func recorded(t testing.TB, v *Vault, c domain.Commit) Record {
	t.Helper()
	sealed, err := v.Sealed(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := Encode(sealed)
	if err != nil {
		t.Fatal(err)
	}
	return Head{Position: 41}.Next(entry)
}

// Whatever is sealed is opened as it was, on another node and by either reader, and
// stands nowhere in the bytes.
func TestSealedCommitsAreOpened(t *testing.T) {
	r, keys := rand.New(rand.NewPCG(1, 2)), new(MemoryKeys)
	here := vaultOf(t, keys)
	for range 500 {
		c := someCommit(r)
		before := cmp.Diff(c, domain.Commit{})
		record := recorded(t, here, c)
		if cmp.Diff(c, domain.Commit{}) != before {
			t.Fatal("sealing has changed the commit")
		}
		c.Position = 42
		for _, data := range [][]byte{record.Data, append([]byte(" "), record.Data...)} {
			record.Data = data
			decoded, err := Decode(record)
			if err != nil {
				t.Fatal(err)
			}
			got, err := vaultOf(t, keys).Opened(t.Context(), decoded)
			if diff := cmp.Diff(c, got); err != nil || diff != "" {
				t.Fatalf("opened otherwise (-want +got), %v:\n%s\n%s", err, diff, data)
			}
		}
		for _, word := range personal(c) {
			if len(word) > 3 && bytes.Contains(record.Data, []byte(word)) {
				t.Fatalf("%q stands in %s", word, record.Data)
			}
		}
		if _, quick := quickly(bytes.TrimSpace(record.Data)); !quick && !bytes.ContainsRune(record.Data, '\\') {
			t.Fatalf("the quick reader does not read %s", record.Data)
		}
	}
}

func personal(c domain.Commit) []string {
	words := []string{c.Address, c.Agent}
	for _, e := range c.Events {
		if e, is := e.(domain.AccountRegistered); is {
			words = append(words, e.Email)
		}
	}
	return words
}

// registering is a commit by Ann that registers Bob.
func registering() domain.Commit {
	c := stored()
	c.Agent = "curl/8.5.0"
	c.Events = []domain.Event{domain.AccountRegistered{Account: domain.AccountID{ID: id("bob")}, Email: "bob@example.org"}}
	return c
}

// Erased, a person is a stable pseudonym who came from nowhere; others are as before.
func TestErasedPeopleAreOpenedAsPseudonyms(t *testing.T) {
	keys := new(MemoryKeys)
	v, c := vaultOf(t, keys), registering()
	record := recorded(t, v, c)
	clear := record
	entry, err := Encode(registeredBefore(c))
	if err != nil {
		t.Fatal(err)
	}
	clear.Entry = entry
	for i, step := range []struct {
		erase                 string
		address, agent, email string
	}{
		{"", "192.0.2.1", "curl/8.5.0", "bob@example.org"},
		{AccountKey(domain.AccountID{ID: id("bob")}), "192.0.2.1", "curl/8.5.0", "erased-c9qp4000"},
		{AccountKey(domain.AccountID{ID: id("ann")}), "", "", "erased-c9qp4000"},
	} {
		if err := v.Erase(t.Context(), "x"+step.erase); err != nil {
			t.Fatal(err)
		}
		if step.erase != "" {
			if err := v.Erase(t.Context(), step.erase); err != nil {
				t.Fatal(err)
			}
		}
		for version, r := range map[int]Record{sealedVersion: record, commitVersion: clear} {
			got := opened(t, v, r)
			agent := step.agent
			if version == commitVersion {
				agent = ""
			}
			if got.Address != step.address || got.Agent != agent || got.Events[0].(domain.AccountRegistered).Email != step.email {
				t.Errorf("step %d, version %d: from %q with %q: %v", i, version, got.Address, got.Agent, got.Events)
			}
		}
	}
}

// registeredBefore is a commit as it was stored by version 1.
func registeredBefore(c domain.Commit) domain.Commit {
	c.Agent = ""
	return c
}

func opened(t testing.TB, v *Vault, r Record) domain.Commit {
	t.Helper()
	decoded, err := Decode(r)
	if err != nil {
		t.Fatal(err)
	}
	c, err := v.Opened(t.Context(), decoded)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What was moved or changed is damage.
func TestMovedTextsAreDamage(t *testing.T) {
	v := vaultOf(t, new(MemoryKeys))
	sealed, err := v.Sealed(t.Context(), registering())
	if err != nil {
		t.Fatal(err)
	}
	other := registering()
	other.Command = domain.RandomCommandID()
	moved, err := v.Sealed(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*domain.Commit){
		"from another commit":          func(c *domain.Commit) { c.Sealed.From = moved.Sealed.From },
		"e-mail of another commit":     func(c *domain.Commit) { c.Sealed.People = moved.Sealed.People },
		"by somebody else":             func(c *domain.Commit) { c.Actor.Account = domain.AccountID{ID: id("bob")} },
		"e-mail of somebody else":      func(c *domain.Commit) { c.Events = []domain.Event{domain.AccountRegistered{Account: c.Actor.Account}} },
		"one e-mail too many":          func(c *domain.Commit) { c.Sealed.People = append(c.Sealed.People, moved.Sealed.People...) },
		"no e-mail":                    func(c *domain.Commit) { c.Events = append(c.Events, c.Events[0]) },
		"an e-mail where it came from": func(c *domain.Commit) { c.Sealed.From = c.Sealed.People[0] },
		"no base64":                    func(c *domain.Commit) { c.Sealed.From = "?" },
	} {
		t.Run(name, func(t *testing.T) {
			c := sealed
			change(&c)
			var damage *Damage
			if got, err := v.Opened(t.Context(), c); !errors.As(err, &damage) {
				t.Errorf("opened %v, %v; want damage", got, err)
			}
		})
	}
}

// What says it is sealed and is not whole is not stored.
func TestHalfSealedCommitsAreRefused(t *testing.T) {
	v := vaultOf(t, new(MemoryKeys))
	for name, change := range map[string]func(*domain.Commit){
		"an agent":   func(c *domain.Commit) { c.Agent = "curl" },
		"an address": func(c *domain.Commit) { c.Address = "192.0.2.1" },
		"an e-mail":  func(c *domain.Commit) { c.Events = registering().Events },
	} {
		c, err := v.Sealed(t.Context(), registering())
		if err != nil {
			t.Fatal(err)
		}
		change(&c)
		if e, err := Encode(c); err == nil {
			t.Errorf("%s in clear was encoded: %s", name, e.Data)
		}
	}
}

// The text of a sealed commit is for ever, but for what the noise is.
func TestTheTextOfASealedCommit(t *testing.T) {
	c := registering()
	c.Address, c.Agent = "", ""
	c.Sealed = domain.Sealed{From: "c2VhbGVk", People: []string{"b25l", "dHdv"}}
	c.Events = []domain.Event{domain.AccountRegistered{Account: c.Actor.Account}, domain.AccountRegistered{Account: domain.AccountID{ID: id("bob")}}}
	entry, err := Encode(c)
	want := `{"v":2,"id":"01020000000000000000000000000000","org":"c5hpts8000000000","at":"2026-11-22T12:00:00.123Z",` +
		`"by":{"kind":"member","account":"c5q6w00000000000","token":"dhgq0x3fe0000000"},"req":"r-1","from":"c2VhbGVk",` +
		`"key":"03000000000000000000000000000000","intent":"04000000000000000000000000000000",` +
		`"before":"0500000000000000000000000000000000000000000000000000000000000000","people":["b25l","dHdv"],` +
		`"events":[{"kind":"account.registered","data":{"account":"c5q6w00000000000","email":""}},` +
		`{"kind":"account.registered","data":{"account":"c9qp400000000000","email":""}}]}`
	if err != nil || string(entry.Data) != want {
		t.Errorf("got  %s (%v)\nwant %s", entry.Data, err, want)
	}
}

// References are read wherever they are; what is none is as it stands.
func TestReferences(t *testing.T) {
	keys := new(MemoryKeys)
	v, ann := vaultOf(t, keys), AccountKey(domain.AccountID{ID: id("ann")})
	text, err := v.Conceal(t.Context(), ann, "here", "ann@example.org")
	if err != nil || strings.Contains(text, "example") {
		t.Fatalf("concealed as %q, %v", text, err)
	}
	for given, want := range map[string]string{text: "ann@example.org", "": "", "erased-12345678": "erased-12345678"} {
		if got, err := vaultOf(t, keys).Reveal(t.Context(), given); err != nil || got != want {
			t.Errorf("%q is %q (%v), want %q", given, got, err, want)
		}
	}
	if got, err := v.Reveal(t.Context(), strings.Replace(text, "here", "there", 1)); !errors.Is(err, ErrSealed) {
		t.Errorf("moved: %q, %v", got, err)
	}
	if err := v.Erase(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	if got, err := v.Reveal(t.Context(), text); !errors.Is(err, ErrErased) || got != "erased-c5q6w000" {
		t.Errorf("erased: %q, %v", got, err)
	}
	if again, err := v.Conceal(t.Context(), ann, "here", "again"); err != nil || again != "" {
		t.Errorf("of who was erased %q is kept (%v)", again, err)
	}
}

// Tables carry an e-mail sealed, as it is in the log.
func TestCarriedCommitsAreRead(t *testing.T) {
	v := vaultOf(t, new(MemoryKeys))
	sealed, err := v.Sealed(t.Context(), registering())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]domain.Commit{"sealed": sealed, "in clear": registering()} {
		carried, err := v.Carried(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		email := carried.Events[0].(domain.AccountRegistered).Email
		if got, err := v.Reveal(t.Context(), email); strings.Contains(email, "@") || got != "bob@example.org" || err != nil {
			t.Errorf("%s: %q is %q (%v)", name, email, got, err)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	v, c := vaultOf(b, new(MemoryKeys)), stored()
	c.Agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Sealed(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	v, c := vaultOf(b, new(MemoryKeys)), stored()
	c.Agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
	sealed, err := v.Sealed(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	for name, open := range map[string]func(context.Context, domain.Commit) (domain.Commit, error){"all": v.Opened, "events": v.OpenedEvents} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := open(b.Context(), sealed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecodeSealed is what a start does with each commit: the same for both versions.
func BenchmarkDecodeSealed(b *testing.B) {
	v, c := vaultOf(b, new(MemoryKeys)), stored()
	c.Events = []domain.Event{domain.TokenIssued{Token: domain.TokenID{ID: id("ci")}, Type: domain.Administrative, Name: "ci", Hash: domain.Hash{6}}}
	clear, err := Encode(c)
	if err != nil {
		b.Fatal(err)
	}
	for name, record := range map[string]Record{"version 1": Head{Position: 41}.Next(clear), "version 2": recorded(b, v, c)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				decoded, err := Decode(record)
				if err == nil {
					_, err = v.OpenedEvents(b.Context(), decoded)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
