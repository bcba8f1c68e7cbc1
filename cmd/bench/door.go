package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"jeton/domain"
	"jeton/engine"
)

// door measures the check of an engine by its own copy, of an organization that has
// all tokens.
func (b bench) door(ctx context.Context) error {
	holders := max(1, b.Tokens/1000)
	o, secrets, err := organization(b.Tokens, holders)
	if err != nil {
		return err
	}
	url, stop, err := platformOf(o)
	if err != nil {
		return err
	}
	defer stop()
	began := time.Now()
	client, err := engine.Open(ctx, engine.Config{URL: url, Token: "bench", MaxStaleness: time.Hour})
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Ready(ctx); err != nil {
		return err
	}
	took := time.Since(began)
	secrets = inRandomOrder(secrets)
	far, err := enter(client, secrets)
	if err != nil {
		return err
	}
	near, err := enter(client, secrets[:min(1000, len(secrets))])
	if err != nil {
		return err
	}
	note := fmt.Sprintf("one organization with all tokens of %s members; all of it was told in %.1f s", count(holders), took.Seconds())
	return report(
		row{"(g) an engine's check by its copy, random tokens of all", perCheck(far), "≤ 600 ns, 0", note},
		row{"(g) the same, of a thousand tokens in use", perCheck(near), "≤ 600 ns, 0", ""},
	)
}

func perCheck(r testing.BenchmarkResult) string {
	return fmt.Sprintf("%s ns, %d allocations", count(int(r.NsPerOp())), r.AllocsPerOp())
}

// organization is one with an engine, members and tokens of theirs.
func organization(tokens, holders int) (*domain.Organization, []string, error) {
	o := domain.NewOrganization(domain.OrganizationID{ID: domain.RandomID()})
	at := domain.Position(0)
	evolve := func(events ...domain.Event) {
		at++
		o.Evolve(domain.Commit{Meta: domain.Meta{Position: at, Organization: o.ID, Time: domain.At(time.Now())}, Events: events})
	}
	evolve(domain.OrganizationCreated{Organization: o.ID, Alias: "bench", Name: "Bench"})
	evolve(domain.EngineRegistered{Name: "bench", Token: domain.TokenID{ID: domain.RandomID()}},
		domain.EngineDoorSet{Door: domain.Door{PersonalTokens: true}})
	members := make([]domain.AccountID, holders)
	for i := range members {
		members[i] = domain.AccountID{ID: domain.RandomID()}
		evolve(domain.MemberAdded{Account: members[i], Role: domain.Ordinary})
	}
	var secrets []string
	for i := range tokens {
		id := domain.TokenID{ID: domain.RandomID()}
		secret, err := domain.NewSecret(domain.Personal, id, rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		evolve(domain.TokenIssued{Token: id, Type: domain.Personal, Holder: members[i%holders], Name: fmt.Sprint(i), Hash: secret.Hash()})
		secrets = append(secrets, secret.Reveal())
	}
	return o, secrets, nil
}

// platformOf serves the stream of an organization in which nothing happens.
func platformOf(o *domain.Organization) (url string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+engine.ReportPath, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "{}") })
	mux.HandleFunc("GET "+engine.StreamPath, func(w http.ResponseWriter, r *http.Request) { describe(w, r, o) })
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }() // until it is closed
	return "http://" + listener.Addr().String(), func() { _ = server.Close() }, nil
}

func describe(w http.ResponseWriter, r *http.Request, o *domain.Organization) {
	lines := json.NewEncoder(w)
	_ = lines.Encode(engine.Line{Hello: &engine.Hello{Platform: "bench", Log: "bench", Organization: o.Number, Engine: 2}})
	_ = lines.Encode(engine.Line{Reset: true})
	_ = lines.Encode(engine.Line{Piece: o.Frame(2)})
	for p := range o.TermsFrom(1) {
		_ = lines.Encode(engine.Line{Piece: p})
	}
	for seat := range o.Holders() {
		if p, has := o.HolderPiece(seat, domain.Account{Number: domain.Position(seat), Email: fmt.Sprintf("m%d@bench.test", seat)}, false); has {
			_ = lines.Encode(engine.Line{Piece: p})
		}
	}
	for place := range o.Tokens.Len() {
		if p, opens := o.TokenPiece(place, 0); opens {
			_ = lines.Encode(engine.Line{Piece: p})
		}
	}
	at := domain.Position(0)
	for beat := time.Tick(time.Second); ; {
		_ = lines.Encode(engine.Line{Mark: &engine.Mark{From: at, To: o.Version, At: domain.At(time.Now())}})
		at = o.Version
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-beat:
		case <-r.Context().Done():
			return
		}
	}
}

// enter lets in who shows secrets that are all good, in their order.
func enter(client *engine.Client, secrets []string) (testing.BenchmarkResult, error) {
	var failed error
	result := testing.Benchmark(func(t *testing.B) {
		t.ReportAllocs()
		for i := 0; t.Loop(); i++ {
			if a := client.Check(engine.Presented{Secret: secrets[i%len(secrets)]}); !a.Allowed {
				failed = fmt.Errorf("a token of the copy is refused: %q", a.Reason)
			}
		}
	})
	return result, failed
}
