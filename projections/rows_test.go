package projections

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"jeton/domain"
)

// history is a world in which everything happens that can, with what it needs to
// say afterwards what the rows should be.
type history struct {
	*world
	bob, eve            somebody // eve is suspended
	laptop, robot, gone domain.TokenID
	neighbour           domain.OrganizationID
	theirs              somebody
	at                  map[string]domain.Position
	time                map[string]domain.Instant
}

// mark remembers where the last commit stands and when it was made, and lets a
// minute pass.
func (h *history) mark(what string) {
	h.at[what], h.time[what] = h.last(), domain.At(h.now())
	h.pass(time.Minute)
}

func everything(t testing.TB) *history {
	h := &history{world: newWorld(t), at: map[string]domain.Position{}, time: map[string]domain.Instant{}}
	h.mark("founded")
	h.do(h.owner.actor, domain.UpdateOrganization{Name: "Acme Ltd"})
	h.mark("organization renamed")
	h.neighbour, h.theirs = h.create("other", "other@example.org")
	h.mark("neighbour")

	h.bob = h.join("Bob@Example.org", domain.Ordinary)
	h.mark("bob")
	admin := domain.Admin
	h.do(h.owner.actor, domain.UpdateMember{Account: h.bob.id, Role: &admin})
	h.mark("bob promoted")
	h.eve = h.join("eve@example.org", domain.Auditor)
	h.mark("eve")
	suspended, reinstated := true, false
	h.do(h.owner.actor, domain.UpdateMember{Account: h.eve.id, Suspended: &suspended, Reason: "first"})
	h.do(h.owner.actor, domain.UpdateMember{Account: h.eve.id, Suspended: &reinstated})
	h.do(h.owner.actor, domain.UpdateMember{Account: h.eve.id, Suspended: &suspended, Reason: "looked at too much"})
	h.mark("eve suspended")

	h.laptop, _ = h.issue(h.bob.actor, domain.Personal, "laptop", func(c *domain.IssueToken) {
		c.Expires, c.Description = domain.At(h.now().Add(time.Hour)), "what for"
	})
	h.mark("laptop")
	name, description := "Old Laptop", "in the drawer"
	h.do(h.bob.actor, domain.UpdateToken{Token: h.laptop, Name: &name})
	h.do(h.owner.actor, domain.UpdateToken{Token: h.laptop, Description: &description})
	h.mark("laptop changed")
	h.robot, _ = h.issue(h.bob.actor, domain.Administrative, "robot", func(c *domain.IssueToken) { c.Never = true })
	h.mark("robot")
	h.gone, _ = h.issue(h.owner.actor, domain.Personal, "gone")
	h.mark("gone")
	h.do(domain.Actor{Kind: domain.ActorToken, Token: h.robot}, domain.RevokeToken{Token: h.gone, Reason: "leaked"})
	h.mark("gone revoked")

	left := h.join("left@example.org", domain.Ordinary)
	h.do(h.owner.actor, domain.RemoveMember{Account: left.id, Reason: "left"})
	h.above(h.owner.actor, domain.OrganizationID{}, domain.NameOperator{Email: "Bob@Example.org"})
	h.above(h.owner.actor, domain.OrganizationID{}, domain.DismissOperator{Account: h.bob.id})
	h.mark("end")
	return h
}

// asked runs a test on both databases with everything in them.
func asked(t *testing.T, test func(t *testing.T, h *history, v *Views)) {
	h := everything(t)
	everywhere(t, func(t *testing.T, url string) {
		here := &history{}
		*here = *h
		here.world = &world{}
		*here.world = *h.world
		here.TB = t
		test(t, here, viewsOf(here.world, url))
	})
}

func TestOrganizationRows(t *testing.T) {
	asked(t, func(t *testing.T, h *history, v *Views) {
		acme := OrganizationRow{h.org, h.at["founded"], "acme", "Acme Ltd", h.time["founded"], h.at["organization renamed"]}
		other := OrganizationRow{h.neighbour, h.at["neighbour"], "other", "The other", h.time["neighbour"], h.at["neighbour"]}

		got, err := v.Organizations(t.Context(), Page{})
		fails(t, "organizations", err, nil)
		same(t, "organizations", got, []OrganizationRow{acme, other})
		got, err = v.Organizations(t.Context(), Page{Limit: 1})
		fails(t, "first page", err, nil)
		same(t, "first page", got, []OrganizationRow{acme})
		got, err = v.Organizations(t.Context(), Page{After: acme.Number, Limit: 1})
		fails(t, "second page", err, nil)
		same(t, "second page", got, []OrganizationRow{other})

		one, err := v.Organization(t.Context(), h.org)
		fails(t, "organization", err, nil)
		same(t, "organization", one, acme)
		_, err = v.Organization(t.Context(), newOrganizationID())
		fails(t, "unknown organization", err, domain.ErrNotFound)
	})
}

func TestMemberRows(t *testing.T) {
	asked(t, func(t *testing.T, h *history, v *Views) {
		owner := MemberRow{h.org, h.owner.id, 1, "owner@example.org", domain.Owner, false, "", domain.Limit{}, h.time["founded"], 1}
		bob := MemberRow{h.org, h.bob.id, h.at["bob"] - 1, "Bob@Example.org", domain.Admin, false, "", domain.Limit{}, h.time["bob"], h.at["bob promoted"]}
		eve := MemberRow{h.org, h.eve.id, h.at["eve"] - 1, "eve@example.org", domain.Auditor, true, "looked at too much", domain.Limit{}, h.time["eve"], h.at["eve suspended"]}

		got, err := v.Members(t.Context(), h.org, Page{})
		fails(t, "members", err, nil)
		same(t, "members", got, []MemberRow{owner, bob, eve})
		got, err = v.Members(t.Context(), h.org, Page{After: owner.Number, Limit: 1})
		fails(t, "second page", err, nil)
		same(t, "second page", got, []MemberRow{bob})

		one, err := v.Member(t.Context(), h.org, h.bob.id)
		fails(t, "member", err, nil)
		same(t, "member", one, bob)
		_, err = v.Member(t.Context(), h.neighbour, h.bob.id)
		fails(t, "member of somebody else", err, domain.ErrNotFound)
	})
}

func TestTokenRows(t *testing.T) {
	asked(t, func(t *testing.T, h *history, v *Views) {
		owner := Author{h.owner.actor, 1, "owner@example.org", ""}
		bob := Author{h.bob.actor, h.at["bob"] - 1, "Bob@Example.org", ""}
		year := func(what string) domain.Instant { return domain.At(h.time[what].Time().AddDate(1, 0, 0)) }

		for what, want := range map[string]TokenRow{
			"laptop": {
				ID: h.laptop, Number: h.at["laptop"], Kind: domain.Personal, Name: "Old Laptop", Description: "in the drawer",
				Holder: h.bob.id, HolderNumber: bob.Number, HolderEmail: bob.Email,
				Issued: h.time["laptop"], IssuedBy: bob, Expires: h.time["laptop"].Add(time.Hour), Changed: h.at["laptop changed"],
			},
			"robot": {
				ID: h.robot, Number: h.at["robot"], Kind: domain.Administrative, Name: "robot",
				Issued: h.time["robot"], IssuedBy: bob, Changed: h.at["robot"],
			},
			"gone": {
				ID: h.gone, Number: h.at["gone"], Kind: domain.Personal, Name: "gone",
				Holder: h.owner.id, HolderNumber: 1, HolderEmail: owner.Email,
				Issued: h.time["gone"], IssuedBy: owner, Expires: year("gone"),
				Revoked: h.time["gone revoked"], RevokedBy: Author{Actor: domain.Actor{Kind: domain.ActorToken, Token: h.robot}}, Ended: ByRevocation, Reason: "leaked",
				Changed: h.at["gone revoked"],
			},
			"first": { // of the owner: the service itself made it
				ID: h.owner.first, Number: 1, Kind: domain.Personal, Name: "first token",
				Holder: h.owner.id, HolderNumber: 1, HolderEmail: owner.Email,
				Issued: h.time["founded"], IssuedBy: Author{Actor: domain.Actor{Kind: domain.ActorSystem}}, Expires: year("founded"), Changed: 1,
			},
			"suspended": {
				ID: h.eve.first, Number: h.at["eve"], Kind: domain.Personal, Name: "first token",
				Holder: h.eve.id, HolderNumber: h.at["eve"] - 1, HolderEmail: "eve@example.org", Suspended: true,
				Issued: h.time["eve"], IssuedBy: owner, Expires: year("eve"), Changed: h.at["eve"],
			},
		} {
			want.Organization, want.Made = h.org, want.Issued
			got, err := v.Token(t.Context(), h.org, want.ID)
			fails(t, what, err, nil)
			same(t, what, got, want)
			got, err = v.TokenNumbered(t.Context(), h.org, want.Number)
			fails(t, what+" by number", err, nil)
			same(t, what+" by number", got, want)

			_, err = v.Token(t.Context(), h.neighbour, want.ID)
			fails(t, what+", asked by the neighbour", err, domain.ErrNotFound)
			_, err = v.TokenNumbered(t.Context(), h.neighbour, want.Number)
			fails(t, what+" by number, asked by the neighbour", err, domain.ErrNotFound)
		}
		_, err := v.TokenNumbered(t.Context(), h.org, forever)
		fails(t, "a number that no database has", err, domain.ErrNotFound)
	})
}

func TestTokenFilters(t *testing.T) {
	asked(t, func(t *testing.T, h *history, v *Views) {
		names := func(f TokenFilter) (names []string) {
			t.Helper()
			f.Organization = h.org
			if f.Now == 0 {
				f.Now = h.time["end"]
			}
			found, err := v.Tokens(t.Context(), f)
			fails(t, fmt.Sprintf("%+v", f), err, nil)
			for _, r := range found {
				if f.Status != AnyStatus && r.Status(f.Now) != f.Status {
					t.Errorf("%+v: %s is %s", f, r.Name, r.Status(f.Now))
				}
				names = append(names, r.Name)
			}
			return names
		}
		const first = "first token"
		end := h.time["laptop"].Add(time.Hour)
		for what, c := range map[string]struct {
			filter TokenFilter
			want   []string
		}{
			"all":                           {TokenFilter{}, []string{first, "gone", "robot", "Old Laptop", first, first, first}},
			"a page":                        {TokenFilter{Limit: 2}, []string{first, "gone"}},
			"the page behind it":            {TokenFilter{Limit: 2, Before: h.at["gone"]}, []string{"robot", "Old Laptop"}},
			"before the first":              {TokenFilter{Before: 1}, nil},
			"administrative":                {TokenFilter{Kind: domain.Administrative}, []string{"robot"}},
			"of a holder":                   {TokenFilter{Holder: h.bob.id}, []string{"Old Laptop", first}},
			"personal of a holder":          {TokenFilter{Holder: h.owner.id, Kind: domain.Personal}, []string{"gone", first}},
			"revoked":                       {TokenFilter{Status: Revoked}, []string{first, "gone"}},
			"active":                        {TokenFilter{Status: Active}, []string{"robot", "Old Laptop", first, first, first}},
			"active a moment before":        {TokenFilter{Status: Active, Holder: h.bob.id, Now: end - 1}, []string{"Old Laptop", first}},
			"active at the very end":        {TokenFilter{Status: Active, Holder: h.bob.id, Now: end}, []string{first}},
			"expired a moment before":       {TokenFilter{Status: Expired, Now: end - 1}, nil},
			"expired at the very end":       {TokenFilter{Status: Expired, Now: end}, []string{"Old Laptop"}},
			"revoked stays revoked":         {TokenFilter{Status: Revoked, Name: "gone", Now: end.Add(2 * 365 * 24 * time.Hour)}, []string{"gone"}},
			"named, in another case":        {TokenFilter{Name: "d LAP"}, []string{"Old Laptop"}},
			"the old name is gone":          {TokenFilter{Name: "laptop", Limit: 5}, []string{"Old Laptop"}},
			"a percent sign is itself":      {TokenFilter{Name: "%"}, nil},
			"an underscore is itself":       {TokenFilter{Name: "gon_"}, nil},
			"an exclamation is itself":      {TokenFilter{Name: "!"}, nil},
			"what no database can store":    {TokenFilter{Name: "a\x00b"}, nil},
			"what is no text at all":        {TokenFilter{Name: "\xff"}, nil},
			"an attempt":                    {TokenFilter{Name: "' OR 1=1 --"}, nil},
			"a number that no database has": {TokenFilter{Before: forever, Limit: 1}, []string{first}},
		} {
			t.Run(what, func(t *testing.T) { same(t, what, names(c.filter), c.want) })
		}
	})
}

// TestSearchDoesNotCareAboutCase: SQLite would fold ASCII only.
func TestSearchDoesNotCareAboutCase(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"Prüfstand 50%", "ΑΘΗΝΑ_1", "wow!"} {
		w.issue(w.owner.actor, domain.Personal, name)
	}
	everywhere(t, func(t *testing.T, url string) {
		v := viewsOf(&world{TB: t, store: w.store}, url)
		for search, want := range map[string]string{"PRÜF": "Prüfstand 50%", "50%": "Prüfstand 50%", "αθηνα_": "ΑΘΗΝΑ_1", "w!": "wow!"} {
			found, err := v.Tokens(t.Context(), TokenFilter{Organization: w.org, Name: search})
			if err != nil || len(found) != 1 || found[0].Name != want {
				t.Errorf("%q: got %v (%v), want %q", search, found, err, want)
			}
		}
	})
}

func TestCommitRows(t *testing.T) {
	asked(t, func(t *testing.T, h *history, v *Views) {
		page := func(found []CommitRow, err error) (at []domain.Position) {
			t.Helper()
			fails(t, "commits", err, nil)
			for _, c := range found {
				if c.Organization != h.org || len(c.Events) == 0 || len(c.Data) == 0 || c.Chain.IsZero() {
					t.Errorf("commit %d: %+v", c.Position, c)
				}
				at = append(at, c.Position)
			}
			return at
		}
		ctx := t.Context()
		same(t, "oldest", page(v.Commits(ctx, h.org, 0, 2)), []domain.Position{1, 2})
		same(t, "behind 2", page(v.Commits(ctx, h.org, 2, 2)), []domain.Position{h.at["bob"], h.at["bob promoted"]})
		youngest := page(v.CommitsBefore(ctx, h.org, 0, 3))
		same(t, "before", page(v.CommitsBefore(ctx, h.org, youngest[1], 1)), youngest[2:])
		all := page(v.Commits(ctx, h.org, 0, 0))
		if youngest[0] != all[len(all)-1] {
			t.Errorf("the youngest is %d, want %d", youngest[0], all[len(all)-1])
		}

		got, err := v.Commit(ctx, h.org, h.at["gone revoked"])
		fails(t, "commit", err, nil)
		want := CommitRow{Commit: domain.Commit{
			Meta: domain.Meta{
				Position: h.at["gone revoked"], Time: h.time["gone revoked"], Organization: h.org,
				Actor: domain.Actor{Kind: domain.ActorToken, Token: h.robot}, Request: "r-1", Address: "192.0.2.1",
			},
			Boundary: h.org.Boundary(), Events: []domain.Event{domain.TokenRevoked{Token: h.gone, Reason: "leaked"}},
		}}
		ignore := cmpopts.IgnoreFields(CommitRow{}, "Command", "Pass", "Before", "Chain", "Data")
		if diff := cmp.Diff(want, got, ignore); diff != "" {
			t.Errorf("commit: (-want +got)\n%s", diff)
		}
		got, err = v.Commit(ctx, h.org, h.at["gone"])
		if err != nil || got.Email != "owner@example.org" || got.Number != 1 {
			t.Errorf("actor of a commit: %q number %d (%v)", got.Email, got.Number, err)
		}

		_, err = v.Commit(ctx, h.neighbour, h.at["gone"])
		fails(t, "a commit, asked by the neighbour", err, domain.ErrNotFound)
		found, err := v.Commits(ctx, h.neighbour, 0, 0)
		if err != nil || len(found) != 1 || found[0].Position != h.at["neighbour"] {
			t.Errorf("the neighbour's log: %v (%v)", found, err)
		}
		found, err = v.Commits(ctx, domain.OrganizationID{}, 0, 0) // people and operators
		if err != nil || len(found) != 5 {
			t.Errorf("the log of no organization: %d commits (%v), want 5", len(found), err)
		}
	})
}

// TestNeighbours: nothing of one organization is in an answer about another.
func TestNeighbours(t *testing.T) {
	asked(t, func(t *testing.T, h *history, v *Views) {
		members, err := v.Members(t.Context(), h.neighbour, Page{})
		if err != nil || len(members) != 1 || members[0].Account != h.theirs.id {
			t.Errorf("members: %v (%v)", members, err)
		}
		tokens, err := v.Tokens(t.Context(), TokenFilter{Organization: h.neighbour})
		if err != nil || len(tokens) != 1 || tokens[0].ID != h.theirs.first {
			t.Errorf("tokens: %v (%v)", tokens, err)
		}
		tokens, err = v.Tokens(t.Context(), TokenFilter{Organization: h.neighbour, Holder: h.bob.id})
		if err != nil || len(tokens) != 0 {
			t.Errorf("tokens of a holder: %v (%v)", tokens, err)
		}
		tokens, err = v.Tokens(t.Context(), TokenFilter{}) // nobody's
		if err != nil || len(tokens) != 0 {
			t.Errorf("tokens of no organization: %v (%v)", tokens, err)
		}
	})
}

func TestLimits(t *testing.T) {
	for asked, want := range map[int]int{-1: 100, 0: 100, 1: 1, 1000: 1000, 1001: 1000} {
		if got := atMost(asked); got != want {
			t.Errorf("limit %d: got %d, want %d", asked, got, want)
		}
	}
}

// TestAskingWhoHasNoTime: a question that is given up is no answer.
func TestAskingWhoHasNoTime(t *testing.T) {
	asked(t, func(t *testing.T, h *history, v *Views) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := v.Tokens(ctx, TokenFilter{Organization: h.org})
		fails(t, "tokens", err, ErrViews)
		fails(t, "tokens", err, context.Canceled)
		_, _, err = v.Remembered(ctx)
		fails(t, "remembered", err, ErrViews)
	})
}
