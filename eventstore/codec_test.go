package eventstore

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jeton/domain"
)

func id(name string) (id domain.ID) { copy(id[:], name); return id }

// stored is a commit with everything that a commit can have.
func stored() domain.Commit {
	c := domain.Commit{Boundary: domain.OrganizationID{ID: id("acme")}.Boundary()}
	c.Command, c.Key, c.Intent = domain.CommandID{1, 2}, domain.CommandID{3}, domain.CommandID{4}
	c.Time = domain.At(time.Date(2026, 11, 22, 12, 0, 0, 123e6, time.UTC))
	c.Organization = domain.OrganizationID{ID: id("acme")}
	c.Actor = domain.Actor{Kind: domain.ActorMember, Account: domain.AccountID{ID: id("ann")}, Token: domain.TokenID{ID: id("laptop")}}
	c.Request, c.Address = "r-1", "192.0.2.1"
	c.Before = domain.Hash{5}
	c.Events = []domain.Event{
		domain.TokenIssued{Token: domain.TokenID{ID: id("ci")}, Type: domain.Administrative, Name: `a "quoted" {name} \ with ] all }`, Hash: domain.Hash{6}},
		domain.TokenRevoked{Token: domain.TokenID{ID: id("ci")}, Reason: "<leaked> & found"},
	}
	return c
}

func commits() map[string]domain.Commit {
	bare := domain.Commit{Boundary: domain.DirectoryBoundary}
	bare.Command, bare.Time, bare.Actor.Kind = domain.CommandID{9}, 1, domain.ActorSystem
	odd := stored()
	odd.Request, odd.Address = `a "request" \`, "é\u2028"
	sealed := stored()
	sealed.Address, sealed.Sealed = "", domain.Sealed{From: "c2VhbGVk", People: []string{"b25l", "dHdv"}}
	return map[string]domain.Commit{"everything": stored(), "next to nothing": bare, "texts that are quoted": odd, "sealed": sealed}
}

// What is stored is read back as it was, by the quick reader and by the real one.
func TestCommitsAreReadBack(t *testing.T) {
	for name, c := range commits() {
		t.Run(name, func(t *testing.T) {
			entry, err := Encode(c)
			if err != nil {
				t.Fatal(err)
			}
			record := Head{Position: 41}.Next(entry)
			c.Position = 42
			for reader, data := range map[string][]byte{"as written": entry.Data, "with a blank": append([]byte(" "), entry.Data...)} {
				record.Data = data
				got, err := Decode(record)
				if err != nil {
					t.Fatalf("%s: %v", reader, err)
				}
				if c.Events == nil {
					c.Events = []domain.Event{}
				}
				if diff := cmp.Diff(c, got); diff != "" {
					t.Errorf("%s: read otherwise (-want +got):\n%s", reader, diff)
				}
			}
		})
	}
}

// The quick reader reads what programs write; or else it would be of no use.
func TestTheQuickReaderReads(t *testing.T) {
	entry, err := Encode(stored())
	if err != nil {
		t.Fatal(err)
	}
	entry.Data = bytes.ReplaceAll(entry.Data, []byte(`\"quoted\" {name} \\`), []byte("plain"))
	if _, read := quickly(entry.Data); !read {
		t.Errorf("it does not read %s", entry.Data)
	}
}

// The text of a commit is for ever: its hash is in the next one.
func TestTheTextOfACommit(t *testing.T) {
	c := stored()
	c.Events = c.Events[1:]
	entry, err := Encode(c)
	want := `{"v":1,"id":"01020000000000000000000000000000","org":"c5hpts8000000000","at":"2026-11-22T12:00:00.123Z",` +
		`"by":{"kind":"member","account":"c5q6w00000000000","token":"dhgq0x3fe0000000"},"req":"r-1","ip":"192.0.2.1",` +
		`"key":"03000000000000000000000000000000","intent":"04000000000000000000000000000000",` +
		`"before":"0500000000000000000000000000000000000000000000000000000000000000",` +
		`"events":[{"kind":"token.revoked","data":{"token":"cdmg000000000000","reason":"<leaked> & found"}}]}`
	if err != nil || string(entry.Data) != want {
		t.Errorf("got  %s (%v)\nwant %s", entry.Data, err, want)
	}
}

// What cannot be read stops the reader.
func TestUnreadableCommits(t *testing.T) {
	entry, err := Encode(stored())
	if err != nil {
		t.Fatal(err)
	}
	text := string(entry.Data)
	for name, c := range map[string]struct{ data, says string }{
		"no JSON":           {"{", "commit 1"},
		"a younger version": {strings.Replace(text, `"v":1`, `"v":3`, 1), "newer version"},
		"an unknown event":  {strings.Replace(text, "token.revoked", "token.blessed", 1), "newer version"},
		"another id":        {strings.Replace(text, `"id":"01`, `"id":"ff`, 1), "another id"},
		"a bad id inside":   {strings.Replace(text, `"org":"c5hpts`, `"org":"U5hpts`, 1), "commit 1"},
		"an event cut off":  {text[:len(text)-3], "commit 1"},
		"text behind":       {text + "{}", "commit 1"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Decode(Record{Entry: Entry{ID: entry.ID, Boundary: entry.Boundary, Data: []byte(c.data)}, Position: 1})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("read %v, %v; want an error with %q", got, err, c.says)
			}
		})
	}
}

// The quick reader says the same as the real one, or that it does not know.
func FuzzDecode(f *testing.F) {
	for _, c := range commits() {
		entry, err := Encode(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(entry.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		quick, read := quickly(data)
		if !read {
			return
		}
		r := Record{Entry: Entry{ID: quick.ID, Data: append([]byte(" "), data...)}, Position: 1}
		slow, err := Decode(r)
		if err != nil {
			t.Fatalf("the quick reader reads %q, the real one says %v", data, err)
		}
		if diff := cmp.Diff(slow, quick.commit(r)); diff != "" {
			t.Errorf("%q is read otherwise (-slow +quick):\n%s", data, diff)
		}
	})
}
