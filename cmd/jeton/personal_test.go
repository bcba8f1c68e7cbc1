package main

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jeton/domain"
	"jeton/eventstore"
)

// stranger is a person with words that stand nowhere else.
type stranger struct {
	email, agent, address, network string
	number                         uint64
	token                          string
}

func (s *stranger) words() []string {
	return []string{s.email, s.agent, s.address, s.network}
}

// personalWorld is a service on a data directory of its own.
type personalWorld struct {
	*testing.T
	main *Main
	root string
	zeno stranger // who is erased
	maud stranger // who stays
}

// TestErasedWordsAreInNoFile searches every byte of every file of the data directory for
// what is personal: it is never there in clear, and once a person is erased nothing is
// left that a master key opens.
func TestErasedWordsAreInNoFile(t *testing.T) {
	w := &personalWorld{T: t,
		zeno: stranger{email: "Zeno+Vexquill@quibblewarp.example", agent: "Frobnicator/7.31 (Xyzzyx)", address: "203.0.113.77", network: "203.0.113."},
		maud: stranger{email: "maud.ockham@lambdrift.example", agent: "Grommetry/0.4", address: "198.51.100.66", network: "198.51.100."},
	}
	w.begin(filepath.Join(t.TempDir(), "data"))
	w.root = w.main.Founded.Token
	for _, p := range []*stranger{&w.zeno, &w.maud} {
		w.live(p)
	}
	w.search("before")
	id := w.account(w.zeno)
	if w.wrapped(id) == 0 || w.wrapped(w.account(w.maud)) == 0 {
		t.Error("no file has the keys: they are searched for in the wrong way")
	}
	before := w.says(w.maud)
	if !strings.Contains(before, w.maud.email) || !strings.Contains(before, w.maud.agent) || !strings.Contains(before, w.maud.address) {
		t.Errorf("before, nothing is said of Maud: %s", before)
	}
	if said := w.says(w.zeno); !strings.Contains(said, w.zeno.email) || !strings.Contains(said, w.zeno.agent) {
		t.Errorf("before, nothing is said of Zeno: %s", said)
	}

	w.ask(w.root, stranger{}, "POST", fmt.Sprintf("accounts/%d/erase", w.zeno.number), `{"reason":"asked for it"}`, 204)
	w.erased(id, before)
	w.begin(w.main.Config.Data)
	w.erased(id, before)
	w.rebuild()
	w.begin(w.main.Config.Data)
	w.erased(id, before)
}

// begin starts the service, again if it runs.
func (w *personalWorld) begin(data string) {
	w.Helper()
	if w.main != nil {
		if err := w.main.Close(); err != nil {
			w.Fatal(err)
		}
	}
	w.main = begin(w.T, func(c *Config) {
		c.Data, c.UsageInterval = data, 20*time.Millisecond
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
}

// rebuild makes the views again while the service is stopped.
func (w *personalWorld) rebuild() {
	w.Helper()
	if err := w.main.Close(); err != nil {
		w.Fatal(err)
	}
	if err := (&Program{Stdout: io.Discard, Stderr: io.Discard}).rebuild(context.Background(), w.main.Config, false); err != nil {
		w.Fatal(err)
	}
}

// live is what somebody does, from where they are.
func (w *personalWorld) live(p *stranger) {
	w.Helper()
	var made struct {
		ID    uint64
		Token string
	}
	w.into(&made, w.ask(w.root, stranger{}, "POST", "organizations/main/members", `{"email":"`+p.email+`","role":"admin"}`, 201))
	p.number, p.token = made.ID, made.Token
	var token struct{ ID, Secret string }
	w.into(&token, w.ask(p.token, *p, "POST", "organizations/main/tokens", fmt.Sprintf(`{"name":"laptop %d","kind":"personal"}`, p.number), 201))
	w.ask(w.root, stranger{}, "POST", "check", `{"token":"`+token.Secret+`","ip":"`+p.address+`","user_agent":"`+p.agent+`"}`, 200)
	w.ask(p.token, *p, "GET", "whoami", "", 200)
	w.ask(p.token, *p, "DELETE", "organizations/main/tokens/nothing", "", 404)
	w.await("the use of "+token.ID, func() bool {
		return strings.Contains(w.ask(w.root, stranger{}, "GET", "organizations/main/tokens/"+token.ID, "", 200), p.agent)
	})
}

func (w *personalWorld) await(what string, done func() bool) {
	w.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !done(); <-tick.C {
		if time.Now().After(end) {
			w.Fatalf("%s did not come", what)
		}
	}
}

func (w *personalWorld) into(v any, body string) {
	w.Helper()
	if err := json.Unmarshal([]byte(body), v); err != nil {
		w.Fatal(err)
	}
}

// ask sends a request as somebody, from where they are.
func (w *personalWorld) ask(token string, from stranger, method, path, body string, want int) string {
	w.Helper()
	request, err := http.NewRequest(method, w.main.URL+"/api/v1/"+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if from.email != "" {
		request.Header.Set("User-Agent", from.agent)
		request.Header.Set("X-Forwarded-For", from.address)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		w.Fatal(err)
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != want {
		w.Fatalf("%s %s: %d %s (%v), want %d", method, path, answer.StatusCode, read, err, want)
	}
	return string(read)
}

// all is what the service says of all people to its owner: the log, members and tokens.
func (w *personalWorld) all() []json.RawMessage {
	w.Helper()
	var all []json.RawMessage
	for _, path := range []string{"log?limit=100", "members", "tokens?status=all&limit=100"} {
		var list struct{ Items []json.RawMessage }
		w.into(&list, w.ask(w.root, stranger{}, "GET", "organizations/main/"+path, "", 200))
		all = append(all, list.Items...)
	}
	return all
}

// says is all that is said of what one person did, has and is.
func (w *personalWorld) says(p stranger) string {
	w.Helper()
	var said []string
	for _, item := range w.all() {
		if bytes.Contains(item, fmt.Appendf(nil, `"id":%d`, p.number)) && bytes.Contains(item, []byte(p.email)) {
			said = append(said, string(item))
		}
	}
	return strings.Join(said, "\n")
}

// account is who somebody is in the log.
func (w *personalWorld) account(p stranger) domain.AccountID {
	id := w.main.Model.AccountEverNumbered(domain.Position(p.number))
	if id.IsZero() {
		w.Fatalf("nobody has the number %d", p.number)
	}
	return id
}

// erased wants Zeno to be a pseudonym, everywhere and for good, and Maud as before.
func (w *personalWorld) erased(id domain.AccountID, maud string) {
	w.Helper()
	w.await("the views", func() bool { _, err := w.main.Views.Position(); return err == nil })
	if err := w.main.Views.Wait(context.Background(), w.main.Model.Position()); err != nil {
		w.Fatal(err)
	}
	if said := w.says(w.maud); said != maud {
		w.Errorf("of Maud is said\n%s\nand it was\n%s", said, maud)
	}
	var everything bytes.Buffer
	for _, item := range w.all() {
		everything.Write(item)
	}
	for _, word := range w.zeno.words() {
		if bytes.Contains(bytes.ToLower(everything.Bytes()), []byte(strings.ToLower(word))) {
			w.Errorf("the service still says %q: %s", word, everything.Bytes())
		}
	}
	if !bytes.Contains(everything.Bytes(), []byte(eventstore.Pseudonym(id))) {
		w.Errorf("the service does not say %s: %s", eventstore.Pseudonym(id), everything.Bytes())
	}
	w.search("after")
	if n := w.wrapped(id); n != 0 {
		w.Errorf("the files have Zeno's key %d times: with the master key all comes back", n)
	}
}

// files hands out every file of the data directory.
func (w *personalWorld) files(do func(path string, data []byte)) {
	w.Helper()
	n := 0
	err := filepath.WalkDir(w.main.Config.Data, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // it went meanwhile
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		n++
		do(path, data)
		return err
	})
	if err != nil || n < 5 {
		w.Fatalf("looked into %d files: %v", n, err)
	}
}

// search wants none of the words in any file, in whatever case, plain or in base64.
func (w *personalWorld) search(when string) {
	w.Helper()
	var patterns [][]byte
	for _, word := range append(w.zeno.words(), w.maud.words()...) {
		patterns = append(patterns, []byte(strings.ToLower(word)))
		for _, form := range []string{word, strings.ToLower(word), strings.ToUpper(word)} {
			patterns = append(patterns, encoded(form)...)
		}
	}
	w.files(func(path string, data []byte) {
		small := bytes.ToLower(data)
		for _, pattern := range patterns {
			if bytes.Contains(small, pattern) || bytes.Contains(data, pattern) {
				w.Errorf("%s: %s has %q", when, path, pattern)
			}
		}
	})
}

// encoded is a word in base64, wherever it begins in what was encoded: without the ends,
// which depend on what is around it.
func encoded(word string) (patterns [][]byte) {
	for shift := range 3 {
		text := []byte(strings.Repeat("x", shift) + word)
		text = text[:len(text)/3*3]
		code := base64.StdEncoding.EncodeToString(text)[4:]
		if len(code) >= 8 {
			patterns = append(patterns, []byte(code), []byte(strings.NewReplacer("+", "-", "/", "_").Replace(code)))
		}
	}
	return patterns
}

// wrapped counts what the files have that the master key of the directory makes a
// person's key of.
func (w *personalWorld) wrapped(id domain.AccountID) (n int) {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(w.main.Config.Data, masterFile))
	if err != nil {
		w.Fatal(err)
	}
	masters, err := eventstore.ParseMasters(string(text))
	if err != nil {
		w.Fatal(err)
	}
	block, err := aes.NewCipher(masters[0][:])
	if err != nil {
		w.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		w.Fatal(err)
	}
	sum := sha256.Sum256(append([]byte("jeton master "), masters[0][:]...))
	const beginning, nonce, whole = 8, 12, 8 + 12 + 32 + 16
	w.files(func(_ string, data []byte) {
		for {
			at := bytes.Index(data, sum[:beginning])
			if at < 0 || len(data)-at < whole {
				return
			}
			data = data[at:]
			if _, err := gcm.Open(nil, data[beginning:beginning+nonce], data[beginning+nonce:whole], []byte(eventstore.AccountKey(id))); err == nil {
				n++
			}
			data = data[beginning:]
		}
	})
	return n
}
