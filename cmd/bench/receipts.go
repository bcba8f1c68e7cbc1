package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"jeton/domain"
	"jeton/engine"
)

const (
	receiptEngines     = 20
	receiptRevocations = 1000
)

// receipts measures how long a revocation takes until all engines that are connected
// have confirmed it, while checks are asked as fast as two connections can.
func (b bench) receipts(ctx context.Context) error {
	b.Dir = filepath.Join(filepath.Dir(b.Dir), "receipts")
	defer os.RemoveAll(b.Dir)
	if err := b.found(ctx); err != nil {
		return err
	}
	defer os.Remove(b.file("founded.json"))
	founded, err := b.founded()
	if err != nil {
		return err
	}
	server, err := b.serve(ctx, b.Jeton, "serve", "--data", b.Dir, "--listen", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer server.stop()
	p := remote{"http://" + server.address, founded.Token}
	doors, err := p.engines(ctx, receiptEngines)
	if err != nil {
		return err
	}
	defer func() {
		for _, door := range doors {
			door.Close()
		}
	}()
	tokens, err := p.tokens(receiptRevocations + 1)
	if err != nil {
		return err
	}
	loaded, stop := b.loaded(server.address, p.token, tokens[receiptRevocations].Secret)
	slowest, all, accepted, err := p.revokeAll(doors, tokens[:receiptRevocations])
	stop()
	if err := errors.Join(err, <-loaded); err != nil {
		return err
	}
	note := fmt.Sprintf("%d revocations, %d engines; %d accepted after confirmation", receiptRevocations, receiptEngines, accepted)
	return report(
		row{"(h) a revocation confirmed by all engines, p50", millis(slowest, 50), "", note},
		row{"(h) the same, p99", millis(slowest, 99), "≤ 20 ms", fmt.Sprintf("of each engine alone: p50 %s, p99 %s", millis(all, 50), millis(all, 99))},
		row{"(h) the slowest", millis(slowest, 100), "≤ 1 s", "under load: checks over HTTP as fast as two connections can"},
	)
}

// loaded asks checks until it is stopped.
func (b bench) loaded(address, owner, secret string) (<-chan error, func()) {
	l := load{requests: []string{post("/api/v1/check", "Content-Type: application/json\r\nAuthorization: Bearer "+owner, fmt.Sprintf(`{"token":"%s"}`, secret))}}
	ended, stopping := make(chan error, 1), make(chan struct{})
	go func() {
		b.Connections, b.Seconds = 2, 0.5
		for {
			select {
			case <-stopping:
				ended <- nil
				return
			default:
			}
			if _, err := b.hammer(address, l); err != nil {
				ended <- err
				return
			}
		}
	}()
	return ended, sync.OnceFunc(func() { close(stopping) })
}

// remote is a platform that is asked over HTTP.
type remote struct{ url, token string }

func (p remote) do(method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, p.url+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+p.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s %s: %w", method, path, response.Status, said, err)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(said, answer)
}

const ofBench = "/api/v1/organizations/bench/"

// engines registers engines and opens them.
func (p remote) engines(ctx context.Context, many int) (doors []*engine.Client, err error) {
	for i := range many {
		var made struct {
			AccessToken string `json:"access_token"`
		}
		if err := p.do("POST", ofBench+"engines", map[string]any{"name": fmt.Sprint("engine-", i), "personal_tokens": true}, &made); err != nil {
			return doors, err
		}
		door, err := engine.Open(ctx, engine.Config{URL: p.url, Token: made.AccessToken})
		if err != nil {
			return doors, err
		}
		doors = append(doors, door)
		if err := door.Ready(ctx); err != nil {
			return doors, err
		}
	}
	return doors, nil
}

type revocable struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

// tokens are tokens of one service account.
func (p remote) tokens(many int) (tokens []revocable, err error) {
	var account struct {
		ID domain.Position `json:"id"`
	}
	err = p.do("POST", ofBench+"service-accounts", map[string]any{"name": "bench", "grant": map[string]any{"access": "role", "role": "ci"}}, &account)
	for i := 0; i < many && err == nil; i++ {
		var made revocable
		err = p.do("POST", fmt.Sprintf("%sservice-accounts/%d/tokens", ofBench, account.ID), map[string]any{"name": fmt.Sprint(i)}, &made)
		tokens = append(tokens, made)
	}
	return tokens, err
}

// receipt is what the platform says about a revocation.
type receipt struct {
	Complete bool `json:"complete"`
	Engines  []struct {
		Took float64 `json:"took_ms"`
	} `json:"engines"`
}

// revokeAll revokes tokens one after the other, each when the one before is
// confirmed, and shows each to all engines then.
func (p remote) revokeAll(doors []*engine.Client, tokens []revocable) (slowest, all []float64, accepted int, err error) {
	for _, t := range tokens {
		for _, door := range doors {
			if a := door.Check(engine.Presented{Secret: t.Secret}); !a.Allowed {
				return nil, nil, 0, fmt.Errorf("a token is refused before it is revoked: %q", a.Reason)
			}
		}
		if err := p.do("DELETE", ofBench+"tokens/"+t.ID, nil, nil); err != nil {
			return nil, nil, 0, err
		}
		var r receipt
		if err := p.do("GET", ofBench+"tokens/"+t.ID+"/revocation?wait=10", nil, &r); err != nil {
			return nil, nil, 0, err
		}
		if !r.Complete || len(r.Engines) != len(doors) {
			return nil, nil, 0, fmt.Errorf("%d of %d engines have confirmed within 10 s", len(r.Engines), len(doors))
		}
		longest := 0.0
		for i, e := range r.Engines {
			longest = max(longest, e.Took)
			all = append(all, e.Took)
			if doors[i].Check(engine.Presented{Secret: t.Secret}).Allowed {
				accepted++
			}
		}
		slowest = append(slowest, longest)
	}
	return slowest, all, accepted, nil
}

// millis is a percentile of milliseconds.
func millis(all []float64, percent int) string {
	sorted := slices.Sorted(slices.Values(all))
	return fmt.Sprintf("%.1f ms", sorted[min(len(sorted)*percent/100, len(sorted)-1)])
}
