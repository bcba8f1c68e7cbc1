package projections

import (
	"testing"

	"jeton/domain"
)

// TestDeletedOrganization: it is in no list, and its log stays.
func TestDeletedOrganization(t *testing.T) {
	w := newWorld(t)
	other, theirs := w.create("other", "other@example.org")
	begun := w.last()
	w.in(other, theirs.actor, domain.CreateServiceAccount{Account: domain.AccountID{ID: domain.RandomID()}, Name: "runner", Grant: fullAccess})
	w.in(other, theirs.actor, domain.DeleteOrganization{Alias: "other", Reason: "over"})
	everywhere(t, func(t *testing.T, url string) {
		v, ctx := viewsOf(w.here(t), url), t.Context()
		all, err := v.Organizations(ctx, Page{})
		if err != nil || len(all) != 1 || all[0].ID != w.org {
			t.Errorf("organizations: %+v (%v)", all, err)
		}
		_, err = v.Organization(ctx, other)
		fails(t, "organization", err, domain.ErrNotFound)
		tokens, err := v.Tokens(ctx, TokenFilter{Organization: other})
		if err != nil || len(tokens) != 0 {
			t.Errorf("tokens: %+v (%v)", tokens, err)
		}
		_, err = v.Member(ctx, other, theirs.id)
		fails(t, "member", err, domain.ErrNotFound)
		programs, err := v.ServiceAccounts(ctx, other, Page{})
		if err != nil || len(programs) != 0 {
			t.Errorf("service accounts: %+v (%v)", programs, err)
		}
		log, err := v.Commits(ctx, other, 0, 0)
		if err != nil || len(log) != 3 || log[0].Position != begun {
			t.Errorf("log: %d commits (%v), want 3", len(log), err)
		}
	})
	id := newOrganizationID()
	_, err := w.model.ExecuteDirectory(t.Context(), domain.Meta{Actor: w.owner.actor, Organization: id}, domain.CreateOrganization{Organization: id, Alias: "other", Name: "Other"})
	fails(t, "the alias", err, domain.ErrExists)
	if _, known := w.model.Find("other"); known {
		t.Error("the model finds it")
	}
}

// TestDeletedAccount: its e-mail is in no list; what it has done is still done by
// somebody.
func TestDeletedAccount(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob@example.org", domain.Admin)
	account, _ := w.model.Account(bob.id)
	id, _ := w.issue(bob.actor, domain.Administrative, "robot")
	at := w.last()
	w.above(w.owner.actor, domain.OrganizationID{}, domain.DeleteAccount{Account: bob.id, Reason: "left"})
	again := w.join("bob@example.org", domain.Ordinary) // is somebody else
	everywhere(t, func(t *testing.T, url string) {
		here := w.here(t)
		v := viewsOf(here, url)
		same(t, "the author of a token", here.row(v, id).IssuedBy, Author{bob.actor, account.Number, "", ""})
		commit, err := v.Commit(t.Context(), w.org, at)
		if err != nil || commit.Number != account.Number || commit.Email != "" {
			t.Errorf("the author of a commit: %d %q (%v)", commit.Number, commit.Email, err)
		}
		member, err := v.Member(t.Context(), w.org, bob.id)
		if err != nil || member.Email != "" || member.Number != account.Number {
			t.Errorf("a member still: %+v (%v)", member, err)
		}
		if row := here.row(v, again.first); row.HolderEmail != "bob@example.org" || row.HolderNumber == account.Number {
			t.Errorf("somebody else: %+v", row)
		}
	})
}
