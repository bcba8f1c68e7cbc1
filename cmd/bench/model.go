package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"jeton/domain"
	"jeton/projections"
)

// model measures the check as a function, the memory a token takes, and how fast
// memory is rebuilt from the log.
func (b bench) model(ctx context.Context) error {
	p, err := open(ctx, b.Dir, false)
	if err != nil {
		return err
	}
	defer p.server.Close()
	last, err := p.store.Last(ctx)
	if err != nil {
		return err
	}
	var bare, ours []float64
	var model *projections.Model
	var heap uint64
	for range max(3, b.Rounds/2) {
		took, err := b.consume(ctx, p, last)
		if err != nil {
			return err
		}
		bare = append(bare, rate(int(last), took))
		model = nil
		before := settled()
		model, took, err = rebuild(ctx, p)
		if err != nil {
			return err
		}
		heap = settled() - before
		ours = append(ours, rate(int(last), took))
	}
	check, err := b.check(model, b.Tokens)
	if err != nil {
		return err
	}
	near, err := b.check(model, 1000)
	if err != nil {
		return err
	}
	runtime.KeepAlive(model)
	ruled, err := b.ruled(ctx)
	if err != nil {
		return err
	}
	return report(
		row{"(b) model's check, one call", fmt.Sprintf("%d ns, %d allocations", check.NsPerOp(), check.AllocsPerOp()), "≤ 800 ns, 0", "random tokens of all: each is some cache misses away"},
		row{"(b) the same, of a thousand tokens", fmt.Sprintf("%d ns, %d allocations", near.NsPerOp(), near.AllocsPerOp()), "≤ 800 ns, 0", "random tokens of those that are in use"},
		row{"(b) the same, with every rule on", fmt.Sprintf("%d ns, %d allocations", ruled.NsPerOp(), ruled.AllocsPerOp()), "≤ 800 ns, 0", "networks, idle, limits, a custom grant on a resource; permission, resource and address asked"},
		row{"(d) rebuilding the model over consuming and decoding", ratio(ours, bare), "≥ 0.80", fmt.Sprintf("%s over %s commits", spread(ours), spread(bare))},
		row{"(e) heap per token", fmt.Sprintf("%.0f bytes", float64(heap)/float64(b.Tokens)), "≤ 300", "after garbage collection, all that the model has"},
	)
}

// settled is the heap after everything that can go has gone.
func settled() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// rebuild reads the log into a new model, which follows no further.
func rebuild(ctx context.Context, p platform) (*projections.Model, time.Duration, error) {
	began := time.Now()
	model := projections.NewModel(p.store, p.vault, time.Now)
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- model.Run(running) }()
	err := model.Loaded(ctx)
	took := time.Since(began)
	stop()
	<-ended
	return model, took, err
}

// consume is the bare program: an ordered consumer of the client's library, and
// a decoder of JSON into the very structs of the domain.
func (b bench) consume(ctx context.Context, p platform, last domain.Position) (time.Duration, error) {
	began := time.Now()
	stream, err := p.server.JetStream().Stream(ctx, "JETON_0")
	if err != nil {
		return 0, err
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	at := domain.Position(0)
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		at++
		if err := decode(m); err != nil || at == last {
			done <- err
		}
	}, jetstream.PullMaxMessages(5000))
	if err != nil {
		return 0, err
	}
	defer consuming.Stop()
	err = <-done
	return time.Since(began), err
}

// stored mirrors the envelope in package eventstore.
type stored struct {
	ID     domain.CommandID      `json:"id"`
	Org    domain.OrganizationID `json:"org"`
	At     domain.Instant        `json:"at"`
	By     domain.Actor          `json:"by"`
	Before domain.Hash           `json:"before"`
	Events []struct {
		Kind string          `json:"kind"`
		Data json.RawMessage `json:"data"`
	} `json:"events"`
}

func decode(m jetstream.Msg) error {
	var commit stored
	if err := json.Unmarshal(m.Data(), &commit); err != nil {
		return err
	}
	for _, e := range commit.Events {
		if _, err := domain.ReadEvent(e.Kind, e.Data); err != nil {
			return err
		}
	}
	return nil
}

func (b bench) check(model *projections.Model, of int) (testing.BenchmarkResult, error) {
	byOrganization, err := b.secrets()
	if err != nil {
		return testing.BenchmarkResult{}, err
	}
	secrets := inRandomOrder(slices.Concat(slices.Collect(maps.Values(byOrganization))...))
	return measure(model, secrets[:min(of, len(secrets))], projections.Use{})
}

// measure checks secrets that are all good, in their order.
func measure(model *projections.Model, secrets []string, use projections.Use) (testing.BenchmarkResult, error) {
	var failed error
	result := testing.Benchmark(func(t *testing.B) {
		t.ReportAllocs()
		for i := 0; t.Loop(); i++ {
			answer, err := model.Check(secrets[i%len(secrets)], use)
			if err != nil || !answer.Active() || answer.Denied != domain.ReasonNone {
				failed = fmt.Errorf("a loaded token is %q, %q: %w", answer.Reason, answer.Denied, err)
			}
		}
	})
	return result, failed
}

// inRandomOrder shuffles secrets and lays them side by side in memory: where a
// request has its secret is near at hand, where the model has the token is not.
func inRandomOrder(secrets []string) []string {
	rand.Shuffle(len(secrets), func(i, j int) { secrets[i], secrets[j] = secrets[j], secrets[i] })
	return strings.Fields(strings.Join(secrets, " "))
}

// secrets are the loaded secrets by organization, its owner's first.
func (b bench) secrets() (map[string][]string, error) {
	data, err := os.ReadFile(b.file("secrets"))
	secrets := map[string][]string{}
	for line := range strings.Lines(string(data)) {
		organization, secret, _ := strings.Cut(strings.TrimSpace(line), " ")
		secrets[organization] = append(secrets[organization], secret)
	}
	return secrets, err
}
