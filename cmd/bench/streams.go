package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"jeton/domain"
	"jeton/engine"
	"jeton/eventstore"
	api "jeton/http"
	"jeton/projections"
)

const (
	streamOrganizations = 50
	streamEngines       = 200
)

// streams measures what connected engines cost the platform: memory of a platform
// that has nothing else to do, and checks of one that has.
func (b bench) streams(ctx context.Context) error {
	memory, err := b.streamMemory(ctx)
	if err != nil {
		return err
	}
	checks, err := b.streamChecks(ctx)
	if err != nil {
		return err
	}
	return report(memory, checks)
}

// streamMemory is the memory of a platform with engines less that without.
func (b bench) streamMemory(ctx context.Context) (r row, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	model := projections.NewModel(new(eventstore.Memory), forgetful(ctx), time.Now)
	go func() { _ = model.Run(ctx) }() // Loaded reports what is wrong
	if err := model.Loaded(ctx); err != nil {
		return r, err
	}
	tokens, err := register(ctx, model)
	if err != nil {
		return r, err
	}
	connections := projections.NewConnections(eventstore.NewMemoryPresence(1)[0], "bench", time.Now)
	go func() { _ = connections.Run(ctx) }() // it ends with ctx
	server := api.NewHTTPServer((&api.Server{Model: model, Log: zerolog.Nop(), Metrics: prometheus.NewRegistry(), Connections: connections, LogID: "bench"}).Handler())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return r, err
	}
	go func() { _ = server.Serve(listener) }() // until it is closed
	defer server.Close()
	before := occupied()
	leave, err := b.follow(ctx, listener.Addr().String(), tokens)
	if err != nil {
		return r, err
	}
	defer leave()
	each := (occupied() - before) / streamEngines
	return row{"(i) memory of a connected engine, at the platform", fmt.Sprintf("%.1f KiB", float64(each)/1024), "≤ 64 KiB", fmt.Sprintf("heap and stacks; %d engines of %d organizations", streamEngines, streamOrganizations)}, nil
}

// occupied is what memory is used for after garbage collection, stacks included.
func occupied() int64 {
	var stats runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse)
}

// register makes organizations with engines, and answers the engines' tokens.
func register(ctx context.Context, model *projections.Model) (tokens []string, err error) {
	root := commandBench{model: model}
	if err := root.found(ctx); err != nil {
		return nil, err
	}
	for i := range streamOrganizations {
		owner, org, _, err := owned(ctx, model, root.actor, i)
		if err != nil {
			return nil, err
		}
		for n := range streamEngines / streamOrganizations {
			id, secret, err := draw(domain.Administrative)
			if err != nil {
				return nil, err
			}
			_, err = model.Execute(ctx, domain.Meta{Organization: org, Actor: owner}, domain.RegisterEngine{
				Name: fmt.Sprint("engine-", n), Door: domain.Door{PersonalTokens: true}, EngineToken: domain.EngineToken{Token: id, Hash: secret.Hash()},
			})
			if err != nil {
				return nil, err
			}
			tokens = append(tokens, secret.Reveal())
		}
	}
	return tokens, nil
}

// streamChecks is checks with engines connected over checks without, in turn.
func (b bench) streamChecks(ctx context.Context) (r row, err error) {
	server, err := b.serve(ctx, b.Jeton, "serve", "--data", b.Dir, "--listen", "127.0.0.1:0")
	if err != nil {
		return r, err
	}
	defer server.stop()
	secrets, err := b.secrets()
	if err != nil {
		return r, err
	}
	tokens, err := registerRemotely(server.address, secrets)
	if err != nil {
		return r, err
	}
	var with, without []float64
	for range b.Rounds {
		n, err := b.hammer(server.address, loads(secrets)[0])
		if err != nil {
			return r, err
		}
		without = append(without, n)
		leave, err := b.follow(ctx, server.address, tokens)
		if err != nil {
			return r, err
		}
		n, err = b.hammer(server.address, loads(secrets)[0])
		leave()
		if err != nil {
			return r, err
		}
		with = append(with, n)
	}
	return row{fmt.Sprintf("(i) checks with %d engines connected over checks without", streamEngines), ratio(with, without), "about 1", fmt.Sprintf("%s over %s", spread(with), spread(without))}, nil
}

// registerRemotely registers engines in some of the loaded organizations, each by its
// owner.
func registerRemotely(address string, secrets map[string][]string) (tokens []string, err error) {
	for organization, of := range secrets {
		p := remote{"http://" + address, of[0]}
		for i := range streamEngines / streamOrganizations {
			var made struct {
				AccessToken string `json:"access_token"`
			}
			if err := p.do("POST", "/api/v1/organizations/org-"+organization+"/engines", map[string]any{"name": fmt.Sprint("engine-", i), "personal_tokens": true}, &made); err != nil {
				return nil, err
			}
			if tokens = append(tokens, made.AccessToken); len(tokens) == streamEngines {
				return tokens, nil
			}
		}
	}
	return nil, errors.New("there are too few organizations")
}

// follow lets engines of another process connect; when it returns all have their copy.
func (b bench) follow(ctx context.Context, address string, tokens []string) (leave func(), err error) {
	cmd := exec.CommandContext(ctx, os.Args[0], "-phase", "followers")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	leave = func() {
		in.Close()
		_ = cmd.Wait() // it ends when its input does
	}
	fmt.Fprintf(in, "http://%s %s\n", address, strings.Join(tokens, " "))
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		leave()
		return nil, fmt.Errorf("the engines are not ready: %w", err)
	}
	return leave, nil
}

// followers is the process of the engines. It reads where the platform is and their
// tokens, says when all are ready, and ends with its input.
func followers(ctx context.Context) error {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	words := strings.Fields(line)
	for _, token := range words[1:] {
		door, err := engine.Open(ctx, engine.Config{URL: words[0], Token: token})
		if err != nil {
			return err
		}
		defer door.Close()
		if err := door.Ready(ctx); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, in)
	return err
}
