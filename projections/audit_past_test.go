package projections

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"jeton/domain"
)

// Each kind of change says what was before it, the same on both databases, and every one
// of them is in the story.
func TestAuditBefore(t *testing.T) {
	w := newWorld(t)
	owner, org := w.owner.actor, w.org
	want, last := map[Place]string{}, domain.Position(0)
	happens := func(before string, e domain.Event) { // whether or not a command would: the views take what the log has
		t.Helper()
		last = w.commit(org.Boundary(), last, domain.Commit{Meta: domain.Meta{Organization: org, Actor: owner}, Events: []domain.Event{e}})
		want[PlaceOf(last, 0)] = before
		w.pass(time.Minute)
	}
	bob := w.join("bob@example.org", domain.Ordinary)
	bot := w.program("bot", domain.Grant{Access: domain.ReadOnly})
	w.do(owner, domain.UpdateOrganization{Name: "Acme Ltd"})
	id, _ := w.issue(owner, domain.Administrative, "ci", func(c *domain.IssueToken) { c.Description, c.Never = "builds", true })
	made, _ := w.model.Token(org, id)
	engine := w.engine("prod", domain.Door{})
	record := w.keep(domain.CheckupReport, 0)
	listed, _ := w.model.Engine(org, engine)
	last = w.model.Last(org)

	happens(`{"name":"Acme Ltd"}`, domain.OrganizationRenamed{Name: "Acme Inc"})
	happens(`{"administrative":{"never":true},"overlap":604800,"personal":{"per_holder":5,"never":true},"reuse":"report","service":{"never":true}}`, domain.PolicyChanged{Overlap: 5})
	happens(`{"overlap":5,"reuse":""}`, domain.PolicyChanged(domain.UsualPolicy()))
	happens("", domain.PermissionDefined{Definition: domain.Definition{Name: "clones.create", Group: "clones"}})
	happens("", domain.RoleCreated{Name: "cloner", Description: "clones", Permissions: []string{"clones.create"}})
	happens(`{"description":"clones","permissions":["clones.create"]}`, domain.RoleChanged{Name: "cloner", Permissions: []string{}})
	happens(`{"name":"cloner","permissions":[]}`, domain.RoleDeleted{Name: "cloner"})
	happens(`{"group":"clones","name":"clones.create"}`, domain.PermissionRetired{Name: "clones.create"})
	happens(`{"role":"member"}`, domain.MemberRoleChanged{Account: bob.id, Role: domain.Admin})
	happens(`{"reason":null,"suspended":false}`, domain.MemberSuspended{Account: bob.id, Reason: "away"})
	happens(`{"reason":"away","suspended":true}`, domain.MemberReinstated{Account: bob.id})
	happens(`{"limit":null}`, domain.HolderLimited{Account: bob.id, Limit: domain.Limit{Requests: 5, Window: 60}})
	happens(`{"limit":{"requests":5,"window":60},"role":"admin","suspended":false}`, domain.MemberRemoved{Account: bob.id})
	happens(`{"name":"bot"}`, domain.ServiceAccountRenamed{Account: bot, Name: "robot"})
	happens(`{"description":null}`, domain.ServiceAccountDescribed{Account: bot, Description: "builds"})
	happens(`{"grant":{"access":"read-only"}}`, domain.ServiceAccountGranted{Account: bot})
	happens(`{"disabled":false}`, domain.ServiceAccountSwitched{Account: bot, Disabled: true})
	happens(`{"limit":null}`, domain.HolderLimited{Account: bot, Limit: domain.Limit{Requests: 6, Window: 60}})
	happens(`{"description":"builds","disabled":true,"limit":{"requests":6,"window":60},"name":"robot"}`, domain.ServiceAccountDeleted{Account: bot})
	happens(`{"name":"ci"}`, domain.TokenRenamed{Token: id, Name: "cd"})
	happens(`{"description":"builds"}`, domain.TokenDescribed{Token: id, Description: "ships"})
	happens(`{"expires":null}`, domain.TokenExpiryChanged{Token: id, Expires: domain.At(noon.Add(1000 * time.Hour))})
	happens(`{"grant":null,"limit":null,"networks":null,"not_before":null}`, domain.TokenBound{Token: id, Terms: domain.Terms{Grant: domain.Grant{Access: domain.ReadOnly}}})
	happens(`{"unbound":null}`, domain.TokenUnbound{Token: id})
	happens(fmt.Sprintf(`{"expires":"2027-04-12T04:00:00Z","made":%q,"previous_until":null}`, made.Issued), domain.TokenRotated{Token: id, Hash: domain.Hash{7}, Until: domain.At(noon.Add(999 * time.Hour))})
	happens(`{"previous_until":"2027-04-12T03:00:00Z"}`, domain.OverlapEnded{Token: id})
	happens(`{"reused":null}`, domain.TokenReused{Token: id})
	happens(`{"waiting":null}`, domain.ApprovalRequested{Token: id, Until: domain.At(noon.Add(time.Hour))})
	happens(`{"waiting":"2027-03-01T13:00:00Z"}`, domain.ApprovalGiven{Token: id})
	for _, e := range []domain.Event{domain.TokenRevoked{Token: id}, domain.TokenBurned{Token: id}, domain.ApprovalRefused{Token: id}, domain.ApprovalLapsed{Token: id}} {
		happens("*", e)
	}
	happens(`{"description":null,"permissions":null,"project":null,"resources":null,"url":null}`, domain.EngineListed{Engine: engine, Listing: domain.Listing{URL: "https://x.example.org"}})
	happens(`{"door":{}}`, domain.EngineDoorSet{Engine: engine, Door: domain.Door{Name: "prod", Open: true, Verification: domain.Hash{1}}})
	happens(`{"disabled":false}`, domain.EngineSwitched{Engine: engine, Disabled: true})
	happens(fmt.Sprintf(`{"token":%q}`, listed.Token), domain.EngineTokenReplaced{Engine: engine, Token: id})
	happens(fmt.Sprintf(`{"disabled":true,"door":{"name":"prod","open":true},"name":"prod","token":%q,"url":"https://x.example.org"}`, id), domain.EngineDeleted{Engine: engine})
	happens("*", domain.RecordAmended{Record: record, Facts: []byte(`{"n":1e400}`)})
	happens(`{"facts":{"n":1e400}}`, domain.RecordAmended{Record: record, Facts: []byte(`{"n":2}`)})
	happens("*", domain.RecordsRemoved{Records: []domain.Position{record}})
	happens(`{"alias":"acme","name":"Acme Inc"}`, domain.OrganizationDeleted{Reason: "over"})

	everywhere(t, func(t *testing.T, url string) {
		v := viewsOf(w.here(t), url)
		kinds := map[string]bool{}
		for _, r := range wholeAudit(t, v, AuditFilter{Organization: org}) {
			before, told := want[r.Place]
			if !told {
				continue
			}
			kinds[r.Action] = true
			if got := string(r.Before); got != before && (before != "*" || got == "") {
				t.Errorf("%s %s: before it was %s, want %s", r.Place, r.Action, got, before)
			}
		}
		for kind := range fieldsChanged {
			if !kinds[kind] {
				t.Errorf("%s is not in the story", kind)
			}
		}
		all, err := v.AuditBefore(t.Context(), org, 1, forever-1)
		fails(t, "all that was before", err, nil)
		if len(all) < len(want)-3 {
			t.Errorf("%d have something that was before, want about %d", len(all), len(want))
		}
	})
}

// What a commit has made was nothing before it, whatever else the commit says of it.
func TestAuditBeforeWhatIsNew(t *testing.T) {
	w := newWorld(t)
	w.demand(func(p *domain.Policy) { p.Approval.Kinds = []domain.TokenKind{domain.Administrative} })
	bob := w.join("bob@example.org", domain.Admin)
	id, _ := w.issue(bob.actor, domain.Administrative, "ci", func(c *domain.IssueToken) { c.Terms.Grant.Access = domain.ReadOnly })
	w.do(w.owner.actor, domain.ApproveToken{Token: id})
	everywhere(t, func(t *testing.T, url string) {
		v := viewsOf(w.here(t), url)
		rows := wholeAudit(t, v, AuditFilter{Organization: w.org, Targets: []string{id.String()}, Oldest: true})
		var got []string
		for _, r := range rows {
			got = append(got, r.Action+" "+r.TargetName+" "+fmt.Sprint(len(r.Before) > 0))
		}
		if want := []string{"token.issued ci false", "token.bound ci false", "approval.requested ci false", "approval.given ci true"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
