package main

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections"
)

// ruled measures the check of a thousand tokens that every rule applies to, in an
// organization whose policy has them all.
func (b bench) ruled(ctx context.Context) (result testing.BenchmarkResult, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	model := projections.NewModel(new(eventstore.Memory), forgetful(ctx), time.Now)
	go func() { _ = model.Run(ctx) }() // Loaded reports what is wrong
	if err := model.Loaded(ctx); err != nil {
		return result, err
	}
	c := commandBench{model: model}
	if err := c.found(ctx); err != nil {
		return result, err
	}
	secrets, err := c.rule(ctx)
	if err != nil {
		return result, err
	}
	return measure(model, secrets, projections.Use{
		Address: netip.MustParseAddr("10.1.2.3"), Permission: "clones.create", Resource: "engine:prod", Agent: "bench/1",
	})
}

// rule makes the organization demand everything, and tokens that meet it.
func (c *commandBench) rule(ctx context.Context) (secrets []string, err error) {
	policy := domain.UsualPolicy()
	policy.Personal.PerHolder = 0
	policy.Personal.Longest = 400 * 86_400
	policy.Networks = []domain.Network{netip.MustParsePrefix("10.0.0.0/8")}
	policy.Idle = 90 * 86_400
	policy.TokenLimit = domain.Limit{Requests: domain.MaxRequests, Window: 3600}
	policy.HolderLimit = domain.Limit{Requests: domain.MaxRequests, Window: 3600}
	meta := domain.Meta{Organization: c.org, Actor: c.actor, Address: "10.0.0.1"}
	clones := domain.Definition{Name: "clones.create", Group: "clones", Write: true, Resource: "engine"}
	for _, command := range []domain.OrganizationCommand{domain.DefinePermission{Definition: clones}, domain.UpdatePolicy{Policy: policy}} {
		if _, err := c.model.Execute(ctx, meta, command); err != nil {
			return nil, err
		}
	}
	terms := domain.Terms{
		Grant:    domain.Grant{Access: domain.ByList, Permissions: []string{"clones.create", "tokens.check"}, Resources: []domain.Resource{"engine:prod", "engine:test"}},
		Networks: []domain.Network{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8::/32")},
	}
	for n := range 1000 {
		id, secret, err := draw(domain.Personal)
		if err != nil {
			return nil, err
		}
		command := domain.IssueToken{Token: id, Kind: domain.Personal, Name: fmt.Sprint("ruled ", n), Hash: secret.Hash(), Terms: terms}
		if _, err := c.model.Execute(ctx, meta, command); err != nil {
			return nil, err
		}
		secrets = append(secrets, secret.Reveal())
	}
	return inRandomOrder(secrets), nil
}
