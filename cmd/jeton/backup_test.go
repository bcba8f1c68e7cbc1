package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections"
)

// Backups that are made while many commands run are each what was so at one moment:
// restored, the chain is the same, and what was answered before is there.
func TestBackupWhileCommandsRun(t *testing.T) {
	m := begin(t, func(*Config) {})
	p := &platform{T: t, dir: m.Config.Data, master: filepath.Join(m.Config.Data, masterFile), root: m.Founded.Token, secrets: map[string]bool{}}
	for i := range 6 {
		p.issue(m, i)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var issued atomic.Int64
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				body := strings.NewReader(fmt.Sprintf(`{"name":"w%d i%d","kind":"administrative"}`, w, i))
				if p.post(m, body) {
					issued.Add(1)
				}
			}
		})
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(p.root), 0o600); err != nil {
		t.Fatal(err)
	}
	saved := make([]string, 5)
	for i := range saved {
		saved[i] = filepath.Join(t.TempDir(), "all.backup")
		program := Program{Args: []string{"backup", "--out", saved[i], "--url", m.URL, "--token-file", token}, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: os.Stderr}
		if code := program.Main(t.Context()); code != 0 {
			t.Fatalf("backup %d ended with %d", i, code)
		}
	}
	cancel()
	writers.Wait()
	p.close(m)
	for _, path := range saved {
		found, err := verifyBackup(path)
		if err != nil {
			t.Fatal(err)
		}
		c := *p
		c.dir = filepath.Join(t.TempDir(), "data")
		c.head = eventstore.Head{Position: found.Last, Chain: found.Chain}
		if code, out := c.restore(path); code != 0 {
			t.Fatalf("%d: %s", code, out)
		}
		c.prove(path)
	}
	t.Logf("%d tokens were issued meanwhile", issued.Load())
}

// post asks for a token, and says whether it was given.
func (p *platform) post(m *Main, body io.Reader) bool {
	request, err := http.NewRequest("POST", m.URL+"/api/v1/organizations/main/tokens", body)
	if err != nil {
		return false
	}
	request.Header.Set("Authorization", "Bearer "+p.root)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, response.Body)
	return errors.Join(response.Body.Close()) == nil && response.StatusCode == 201
}

var restored = flag.Int("restored", 20_000, "how many commits BenchmarkRestore restores")

// BenchmarkRestore restores a platform of many tokens into the data directory.
func BenchmarkRestore(b *testing.B) {
	saved := filepath.Join(b.TempDir(), "all.backup")
	made := grownBackup(b, *restored)
	if err := os.WriteFile(saved, made, 0o600); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(made))/float64(*restored), "bytes/commit")
	for b.Loop() {
		program := Program{Args: []string{"restore", "--in", saved, "--data", filepath.Join(b.TempDir(), "data")}, Stdin: strings.NewReader(""), Stdout: os.Stderr, Stderr: os.Stderr, Env: []string{"JETON_MASTER_KEY=" + eventstore.Master{1}.Reveal()}}
		if code := program.Main(b.Context()); code != 0 {
			b.Fatalf("restore ended with %d", code)
		}
	}
	b.ReportMetric(float64(*restored)*float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// grownBackup is a backup of so many tokens.
func grownBackup(b *testing.B, tokens int) []byte {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	store := new(eventstore.Memory)
	keys, master := new(eventstore.MemoryKeys), eventstore.Master{1}
	vault, err := eventstore.OpenVault(ctx, keys, master)
	if err != nil {
		b.Fatal(err)
	}
	model := projections.NewModel(store, vault, time.Now)
	ended := make(chan error, 1)
	go func() { ended <- model.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	c := defaults().withDefaults()
	if err := model.Loaded(ctx); err != nil {
		b.Fatal(err)
	}
	first, err := found(ctx, model, c, "")
	if err != nil {
		b.Fatal(err)
	}
	who, err := model.Check(first.Token, projections.Use{})
	for i := 0; err == nil && i < tokens; i++ {
		id := domain.TokenID{ID: domain.RandomID()}
		_, err = model.Execute(ctx, domain.Meta{Actor: who.Actor(), Organization: who.Organization, Request: "r-1", Address: "192.0.2.1"},
			domain.IssueToken{Token: id, Kind: domain.Administrative, Name: fmt.Sprint("token ", i), Hash: sha256.Sum256(id.ID[:])})
	}
	if err != nil {
		b.Fatal(err)
	}
	var head eventstore.Head
	last, _ := store.Last(ctx)
	err = eventstore.ReadUpTo(ctx, store, last, func(r eventstore.Record) error { head = r.Head(); return nil })
	var backup bytes.Buffer
	if err == nil {
		_, err = eventstore.WriteBackup(ctx, eventstore.BackupSource{
			Until: head, Keys: keys,
			Records: func(ctx context.Context, do func(eventstore.Record) error) error {
				return eventstore.ReadUpTo(ctx, store, last, do)
			},
		}, &backup)
	}
	if err != nil {
		b.Fatal(err)
	}
	return backup.Bytes()
}
