package projections

import (
	"testing"
	"time"

	"jeton/domain"
)

var fullAccess = domain.Grant{Access: domain.FullAccess}

func TestServiceAccountRows(t *testing.T) {
	w := newWorld(t)
	made := domain.At(w.now())
	builder := w.program("builder", domain.Grant{Access: domain.ByList, Permissions: []string{"tokens.check"}, Resources: nil})
	number := w.last()
	w.pass(time.Minute)
	runner := w.program("runner", fullAccess)
	runners := w.last()
	name, description, grant, disabled, limit := "Builder 2", "builds", domain.Grant{Access: domain.ByRole, Role: "ci", Resources: []domain.Resource{"engine:prod"}}, true, domain.Limit{Requests: 5, Window: 60}
	w.do(w.owner.actor, domain.UpdateServiceAccount{Account: builder, Name: &name, Description: &description, Grant: &grant})
	w.do(w.owner.actor, domain.UpdateServiceAccount{Account: builder, Limit: &limit})
	w.do(w.owner.actor, domain.UpdateServiceAccount{Account: builder, Disabled: &disabled})
	changed := w.last()
	gone := w.program("gone", fullAccess)
	w.do(w.owner.actor, domain.DeleteServiceAccount{Account: gone})

	owner := Author{w.owner.actor, 1, "owner@example.org", ""}
	first := ServiceAccountRow{w.org, builder, number, name, description, grant, true, limit, made, owner, changed}
	second := ServiceAccountRow{w.org, runner, runners, "runner", "", fullAccess, false, domain.Limit{}, made.Add(time.Minute), owner, runners}
	other, _ := w.create("other", "other@example.org")
	everywhere(t, func(t *testing.T, url string) {
		v := viewsOf(w.here(t), url)
		got, err := v.ServiceAccounts(t.Context(), w.org, Page{})
		fails(t, "all", err, nil)
		same(t, "all", got, []ServiceAccountRow{first, second})
		got, err = v.ServiceAccounts(t.Context(), w.org, Page{After: first.Number, Limit: 1})
		fails(t, "second page", err, nil)
		same(t, "second page", got, []ServiceAccountRow{second})
		got, err = v.ServiceAccounts(t.Context(), other, Page{})
		fails(t, "the neighbour's", err, nil)
		same(t, "the neighbour's", got, nil)

		one, err := v.ServiceAccount(t.Context(), w.org, builder)
		fails(t, "one", err, nil)
		same(t, "one", one, first)
		for what, c := range map[string]struct {
			org domain.OrganizationID
			id  domain.AccountID
		}{"a deleted one": {w.org, gone}, "asked next door": {other, builder}, "a person": {w.org, w.owner.id}} {
			_, err = v.ServiceAccount(t.Context(), c.org, c.id)
			fails(t, what, err, domain.ErrNotFound)
		}
	})
}

// TestTokensOfServiceAccounts: lists name them, as holders and as authors, also
// after they were deleted.
func TestTokensOfServiceAccounts(t *testing.T) {
	w := newWorld(t)
	runner := w.program("runner", fullAccess)
	number := w.last()
	id, _ := w.issue(w.owner.actor, domain.Service, "deploy", func(c *domain.IssueToken) { c.Holder = runner })
	machine := domain.Actor{Kind: domain.ActorService, Account: runner, Token: id}
	robot, _ := w.issue(machine, domain.Administrative, "robot")
	at := w.last()
	disabled := true
	w.do(w.owner.actor, domain.UpdateServiceAccount{Account: runner, Disabled: &disabled})
	author := Author{machine, number, "", "runner"}
	everywhere(t, func(t *testing.T, url string) {
		here := w.here(t)
		v := viewsOf(here, url)
		row := here.row(v, id)
		if row.Holder != runner || row.HolderName != "runner" || row.HolderNumber != number || row.HolderEmail != "" || !row.Suspended {
			t.Errorf("its token: %+v", row)
		}
		same(t, "the author of a token", here.row(v, robot).IssuedBy, author)
		found, err := v.Tokens(t.Context(), TokenFilter{Organization: w.org, Holder: runner})
		if err != nil || len(found) != 1 || found[0].ID != id {
			t.Errorf("its tokens: %+v (%v)", found, err)
		}
		commit, err := v.Commit(t.Context(), w.org, at)
		if err != nil || commit.Name != "runner" || commit.Number != number || commit.Email != "" {
			t.Errorf("the author of a commit: %q %d %q (%v)", commit.Name, commit.Number, commit.Email, err)
		}
	})
	w.do(w.owner.actor, domain.DeleteServiceAccount{Account: runner})
	everywhere(t, func(t *testing.T, url string) {
		here := w.here(t)
		v := viewsOf(here, url)
		row := here.row(v, id)
		if row.HolderName != "runner" || row.HolderNumber != number || row.Status(domain.At(w.now())) != Revoked {
			t.Errorf("its token, afterwards: %+v", row)
		}
		same(t, "the author of a token, afterwards", here.row(v, robot).IssuedBy, author)
	})
}
